// Times in the reader's own zone and words.

const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export const formatDay = (time) => day.format(new Date(time));
export const formatClock = (time) => clock.format(new Date(time));
export const formatTime = (time) => `${formatDay(time)}, ${formatClock(time)}`;

// The beginning of a day here ("2026-11-22", or nothing), as the API takes it; `later` days after it.
export function midnight(day, later = 0) {
  if (!day) return "";
  const [year, month, date] = day.split("-").map(Number);
  return new Date(year, month - 1, date + later).toISOString();
}
