/** Signing in: a key is traded for a cookie that scripts cannot read. */

import { send } from "./http";

export async function isSignedIn(): Promise<boolean> {
  const { authenticated } = await send<{ authenticated: boolean }>("GET", "/session");
  return authenticated;
}

/** Trades a key for the HttpOnly cookie; a wrong key is an `ApiError` with status 401. */
export async function signIn(key: string): Promise<void> {
  await send<unknown>("POST", "/session", { key });
}

export async function signOut(): Promise<void> {
  await send<unknown>("DELETE", "/session");
}
