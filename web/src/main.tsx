// The page's entry: follows the location, the keys and the stream, and draws the app.

import { render } from "preact";
import "uplot/dist/uPlot.min.css";
import "./styles/theme.css";
import "./styles/base.css";
import "./styles/charts.css";
import "./styles/explore.css";
import "./styles/tuning.css";
import "./styles/alerts.css";
import { App } from "./app";
import { followKeys } from "./keys";
import { open } from "./live";
import { followLocation } from "./route";
import { load } from "./state";
import { applyTheme } from "./theme";

applyTheme();
followLocation();
followKeys();
open();
void load();

const root = document.getElementById("app");
if (root) render(<App />, root);
