// Starts the dashboard, or says what is missing. It imports nothing by itself,
// so that it runs even where ui/vendor/ is empty.

const AGAIN_MS = 3_000;

try {
  const { start } = await import("./main.js");
  await start();
} catch (error) {
  console.error(error);
  const vendor = await look("/vendor/preact.js");
  dispatchEvent(new CustomEvent("not-started", { detail: { id: vendor?.status === 404 ? "not-built" : "not-loaded", why: String(error) } }));
  await returnOf("/boot.js");
}

/**
 * Loads the page anew once EMCP is back, if it was away. If it was not, that
 * would be no help.
 * @param {string} file
 */
async function returnOf(file) {
  if ((await look(file))?.ok) return;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    if ((await look(file))?.ok) break;
  }
  location.reload();
}

/** @param {string} file */
function look(file) {
  return fetch(file, { method: "HEAD", cache: "no-store" }).catch(() => null);
}

// Tells the type checker that this is a module.
export {};
