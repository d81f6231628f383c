// The overview: what each service, the host and ALL-USE itself do, second by second.

import { useMemo } from "preact/hooks";
import { Chart } from "../chart";
import { type Feed, rateWindow } from "../feed";
import { type Board, type Panel, alluseBoard, boardQueries, hostBoard, targetBoard } from "../boards";
import { link, route } from "../route";
import { loaded, targets } from "../state";
import { StatusStrip } from "../strip";
import { Toolbar } from "../toolbar";
import { useFeed } from "../use-feed";
import { SPANS, spanName } from "../view";
import type { Target } from "../wire";

export function Overview() {
  const seconds = SPANS[spanName.value];
  const all = targets.value;
  const wanted = route.value.params.get("target");
  const target = all.find((t) => t.name === wanted) ?? all[0];
  const name = target?.name ?? "";
  const ready = loaded.value;
  const boards = useMemo<Board[]>(() => {
    if (!ready) return [];
    const window = rateWindow(seconds);
    return [...(target ? [targetBoard(target, window)] : []), hostBoard(window), alluseBoard(window)];
  }, [ready, seconds, name, target?.objective.query]);
  const feed = useFeed(boardQueries(boards), seconds, ready);

  let first = 0;
  return (
    <>
      <StatusStrip />
      <Toolbar />
      {all.length > 1 && <TargetTabs all={all} name={name} />}
      {ready && !target && (
        <p class="empty-note">
          No service is being tuned. Start one with <code>alluse demo</code>, or name it under <code>[[targets]]</code> in the file given to <code>alluse serve --config</code>.
        </p>
      )}
      {boards.map((board) => {
        const at = first;
        first += board.panels.reduce((sum, p) => sum + p.queries.length, 0);
        return <BoardView key={board.title} board={board} feed={feed} first={at} target={board.target ? target : undefined} />;
      })}
    </>
  );
}

function TargetTabs({ all, name }: { all: Target[]; name: string }) {
  return (
    <nav class="tabs" aria-label="Services">
      {all.map((t) => (
        <a key={t.name} href={link("overview", { target: t.name, range: spanName.value })} aria-current={t.name === name ? "true" : undefined}>
          {t.name}
        </a>
      ))}
    </nav>
  );
}

function BoardView({ board, feed, first, target }: { board: Board; feed: Feed; first: number; target: Target | undefined }) {
  let at = first;
  return (
    <section class="board" aria-label={board.title}>
      <header>
        <h2>{board.title}</h2>
        {target && (
          <span class={`pill ${target.up ? "good" : "bad"}`}>
            <i aria-hidden="true" /> {target.up ? "answers" : "does not answer"}
          </span>
        )}
        <p class="quiet">{board.note}</p>
      </header>
      <div class="grid">
        {board.panels.map((panel) => {
          const query = at;
          at += panel.queries.length;
          return <PanelView key={panel.title} panel={panel} feed={feed} first={query} />;
        })}
      </div>
    </section>
  );
}

function PanelView({ panel, feed, first }: { panel: Panel; feed: Feed; first: number }) {
  const parts = panel.queries.map((q, i) => ({ query: first + i, ...(q.name === undefined ? {} : { name: q.name }) }));
  const expr = panel.queries[0]?.expr;
  return (
    <Chart
      title={panel.title}
      unit={panel.unit}
      feed={feed}
      parts={parts}
      stack={panel.stack ?? false}
      wide={panel.wide ?? false}
      metrics={panel.metrics}
      {...(panel.note === undefined ? {} : { note: panel.note })}
      {...(expr === undefined ? {} : { expr })}
    />
  );
}
