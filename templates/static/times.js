// Times in the reader's own zone and words.

const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export const formatDay = (time) => day.format(new Date(time));
export const formatClock = (time) => clock.format(new Date(time));
export const formatTime = (time) => `${formatDay(time)}, ${formatClock(time)}`;

// A time of a day here ("2026-11-22", or nothing; "14:05:09", or nothing for its beginning), as the API takes it.
export function moment(day, clock, daysLater = 0) {
  if (!day) return "";
  const [year, month, date] = day.split("-").map(Number);
  const [hours, minutes = 0, seconds = 0] = clock.split(":").map(Number);
  return new Date(year, month - 1, date + daysLater, hours, minutes, seconds).toISOString();
}

export const midnight = (day, daysLater = 0) => moment(day, "", daysLater);

// The same the other way: a time as the fields of a form have it, to the second.
export function fieldsOf(time) {
  const at = new Date(time);
  const two = (number) => String(number).padStart(2, "0");
  return {
    day: `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`,
    clock: [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":"),
  };
}
