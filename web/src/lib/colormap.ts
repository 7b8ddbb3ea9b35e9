/** Sequential colormaps of our own: lightness falls (or rises) evenly along a blue-to-yellow axis, so they
 * read the same with red-green colour blindness and in grey. */

export type Rgb = readonly [number, number, number];
/** Maps 0..1 to a colour; values outside are clamped. */
export type Colormap = (value: number) => Rgb;

/** Oklab's hue angle, chroma and lightness at even distances along the map (Ottosson, 2020). */
interface Stop {
  lightness: number;
  chroma: number;
  hue: number;
}

const SAMPLES = 256;

/** Low is the paper, high is deep water. */
export const lightMap = colormap([
  { lightness: 0.955, chroma: 0.03, hue: 98 },
  { lightness: 0.855, chroma: 0.068, hue: 122 },
  { lightness: 0.725, chroma: 0.085, hue: 175 },
  { lightness: 0.575, chroma: 0.09, hue: 218 },
  { lightness: 0.42, chroma: 0.1, hue: 252 },
  { lightness: 0.265, chroma: 0.095, hue: 272 },
]);

/** Low is night, high is sunlit sand. */
export const darkMap = colormap([
  { lightness: 0.235, chroma: 0.035, hue: 262 },
  { lightness: 0.365, chroma: 0.085, hue: 254 },
  { lightness: 0.505, chroma: 0.09, hue: 222 },
  { lightness: 0.645, chroma: 0.09, hue: 180 },
  { lightness: 0.79, chroma: 0.105, hue: 125 },
  { lightness: 0.935, chroma: 0.1, hue: 98 },
]);

/** Relative luminance (WCAG 2). */
export function luminance([red, green, blue]: Rgb): number {
  const linear = (channel: number) => {
    const share = channel / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
}

const bright = new WeakMap<Colormap, readonly boolean[]>();

/** Whether a map's colour at 0..1 is so light that a mark on it must be dark; looked up, for it is asked per cell. */
export function isBright(map: Colormap, value: number): boolean {
  let table = bright.get(map);
  if (!table) {
    table = Array.from({ length: SAMPLES }, (_, sample) => luminance(map(sample / (SAMPLES - 1))) > 0.22);
    bright.set(map, table);
  }
  return table[Math.round(Math.min(1, Math.max(0, value)) * (SAMPLES - 1))] as boolean;
}

function colormap(stops: readonly Stop[]): Colormap {
  const table = Array.from({ length: SAMPLES }, (_, sample) => between(stops, sample / (SAMPLES - 1)));
  return (value) => table[Math.round(Math.min(1, Math.max(0, value)) * (SAMPLES - 1))] as Rgb;
}

function between(stops: readonly Stop[], value: number): Rgb {
  const place = value * (stops.length - 1);
  const index = Math.min(stops.length - 2, Math.floor(place));
  const [from, to] = [stops[index] as Stop, stops[index + 1] as Stop];
  const share = place - index;
  const mix = (key: keyof Stop) => from[key] + (to[key] - from[key]) * share;
  return oklchToRgb(mix("lightness"), mix("chroma"), mix("hue"));
}

function oklchToRgb(lightness: number, chroma: number, hue: number): Rgb {
  const a = chroma * Math.cos((hue * Math.PI) / 180);
  const b = chroma * Math.sin((hue * Math.PI) / 180);
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    toByte(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
    toByte(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
    toByte(-0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s),
  ];
}

function toByte(linear: number): number {
  const clamped = Math.min(1, Math.max(0, linear));
  const share = clamped <= 0.0031308 ? 12.92 * clamped : 1.055 * clamped ** (1 / 2.4) - 0.055;
  return Math.round(share * 255);
}
