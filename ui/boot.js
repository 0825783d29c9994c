// Starts the dashboard, or says what is missing. It imports nothing by itself,
// so that it runs even where ui/vendor/ is empty.

/** @param {string} id */
function reveal(id) {
  const page = document.getElementById(id);
  if (page) page.hidden = false;
}

try {
  const { start } = await import("./main.js");
  await start();
} catch (error) {
  console.error(error);
  const vendor = await fetch("/vendor/preact.js", { method: "HEAD" }).catch(() => null);
  reveal(vendor?.status === 404 ? "not-built" : "not-loaded");
}

// Tells the type checker that this is a module.
export {};
