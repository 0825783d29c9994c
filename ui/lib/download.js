// Gives the reader a file made in the page.

/**
 * @param {string} name
 * @param {BlobPart[]} parts
 * @param {string} type
 */
export function download(name, parts, type) {
  const url = URL.createObjectURL(new Blob(parts, { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // The browser has taken hold of the content when the click returns, but some
  // read the address only afterwards.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
