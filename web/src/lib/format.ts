/** Numbers and times as people read them. */

const INTEGER = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;
/** Stands where a value is not known yet. */
export const NONE = "–";

export function integer(value: number | null | undefined): string {
  return value == null ? NONE : INTEGER.format(value);
}

/** Four significant digits, and no exponent between 0.0001 and a million. */
export function significant(value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return NONE;
  const size = Math.abs(value);
  const text = size !== 0 && (size < 1e-4 || size >= 1e6) ? value.toExponential(2) : trim(value.toPrecision(4));
  return text.replace("-", "−");
}

/** A number on an axis, short: "250k", "1.5M", "5e−4". */
export function tick(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e6) return `${significant(value / 1e6)}M`;
  if (size >= 1e5) return `${significant(value / 1e3)}k`;
  if (Number.isInteger(value)) return integer(value);
  return size < 1e-3 ? plain(Number(value.toPrecision(3))) : significant(value);
}

/** A learning rate and the like: the shortest exact text. */
export function plain(value: number): string {
  return Math.abs(value) < 1e-3 && value !== 0 ? value.toExponential().replace("e-", "e−") : String(value);
}

export function bytes(value: number | null | undefined): string {
  if (value == null) return NONE;
  let size = value;
  let unit = 0;
  while (size >= 1024 && unit < UNITS.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${UNITS[unit]}`;
}

/** "8 s", "3 min 20 s", "2 h 05 min", "3 d 4 h". */
export function duration(seconds: number | null | undefined): string {
  if (seconds == null || !Number.isFinite(seconds)) return NONE;
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${two(whole % 60)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${two(minutes % 60)} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** "now", "5 min ago", "3 h ago", then the date. */
export function ago(then: number, now: number): string {
  const seconds = now - then;
  if (seconds < 60) return "now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return new Date(then * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "short" });
}

export function clock(unix: number): string {
  return new Date(unix * 1000).toLocaleTimeString("en-GB");
}

export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

function trim(digits: string): string {
  return digits.includes(".") ? digits.replace(/\.?0+$/, "") : digits;
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}

/** A time on an axis, short: "0:05", "12:30", "3:05:00", "2d 04:00". */
export function span(seconds: number): string {
  const whole = Math.round(seconds);
  const [days, hours, minutes] = [Math.floor(whole / 86_400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60];
  if (days > 0) return `${days}d ${two(hours)}:${two(minutes)}`;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** "24 Nov, 21:53". */
export function moment(unix: number): string {
  return new Date(unix * 1000).toLocaleString("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
}

/** "1 row", "1,200 rows". */
export function plural(count: number, noun: string): string {
  return `${integer(count)} ${noun}${count === 1 ? "" : "s"}`;
}
