// Times in the reader's own zone and words.

const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export const formatDay = (time) => day.format(new Date(time));
export const formatClock = (time) => clock.format(new Date(time));
export const formatTime = (time) => `${formatDay(time)}, ${formatClock(time)}`;
