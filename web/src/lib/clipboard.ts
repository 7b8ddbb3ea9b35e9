/** Puts a text on the clipboard, where the browser lets us (it wants https or localhost). */

export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
