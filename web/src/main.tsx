// The page's entry: draws the app into the document.
import { render } from "preact";

function App() {
  return <main>ALL-USE</main>;
}

const root = document.getElementById("app");
if (root) render(<App />, root);
