/** What a screen reader is told of changes that happen by themselves. */

class Announcer {
  text = $state("");

  /** Says it once; the same words again are said again (a space tells them apart). */
  say(text: string): void {
    this.text = text === this.text ? `${text}\u00a0` : text;
  }
}

export const announcer = new Announcer();
