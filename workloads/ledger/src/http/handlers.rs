//! One handler a route: a body becomes a command or a question, and the answer JSON.

use std::sync::Arc;

use axum::{extract::State as Shared, http::StatusCode, response::Response};
use serde::Serialize;

use super::{
    App, Reply, bodies,
    extract::{Arrival, Body, Id, Params},
    problem::Problem,
};
use crate::{
    account::State,
    command::Command,
    ledger::View,
    store::{Failure, rows::Selection},
    telemetry::Operation,
};

/// Accounts of one page, unless the request says otherwise, and at most.
const PAGE: (i64, i64) = (50, 500);

type Service = Shared<Arc<App>>;

/// A page of accounts.
#[derive(Serialize)]
struct Page {
    accounts: Vec<View>,
    /// What `after` has to be for the next page; absent on the last.
    next: Option<i64>,
}

pub(super) async fn open_account(
    Shared(app): Service,
    arrival: Arrival,
    Body(body): Body<bodies::OpenAccount>,
) -> Response {
    let command = Command::OpenAccount {
        name: body.name.unwrap_or_else(|| body.owner.clone()),
        owner: body.owner,
        kind: body.kind,
        initial_cents: body.initial_cents,
        portfolio: body.portfolio,
    };
    create(&app, arrival, command, body.key).await
}

pub(super) async fn open_portfolio(
    Shared(app): Service,
    arrival: Arrival,
    Body(body): Body<bodies::OpenPortfolio>,
) -> Response {
    let command = Command::OpenPortfolio {
        name: body.name.unwrap_or_else(|| body.owner.clone()),
        owner: body.owner,
        capital_cents: body.capital_cents,
    };
    create(&app, arrival, command, body.key).await
}

pub(super) async fn rename(
    Shared(app): Service,
    arrival: Arrival,
    Id(account): Id,
    Body(body): Body<bodies::Rename>,
) -> Response {
    let name = body.name;
    let command = Command::Rename { account, name };
    execute(&app, Operation::Update, arrival, command, None).await
}

pub(super) async fn set_state(
    Shared(app): Service,
    arrival: Arrival,
    Id(account): Id,
    Body(body): Body<bodies::SetState>,
) -> Response {
    let state = body.state;
    let command = Command::SetState { account, state };
    execute(&app, Operation::Update, arrival, command, None).await
}

pub(super) async fn close(Shared(app): Service, arrival: Arrival, Id(account): Id) -> Response {
    let state = State::Closed;
    let command = Command::SetState { account, state };
    execute(&app, Operation::Delete, arrival, command, None).await
}

pub(super) async fn book(
    Shared(app): Service,
    arrival: Arrival,
    Id(account): Id,
    Body(body): Body<bodies::Book>,
) -> Response {
    let command = Command::Book {
        account,
        booking: body.kind,
        amount_cents: body.amount_cents,
    };
    execute(
        &app,
        Operation::Transaction,
        arrival,
        command,
        Some(body.key),
    )
    .await
}

pub(super) async fn transfer(
    Shared(app): Service,
    arrival: Arrival,
    Body(body): Body<bodies::Transfer>,
) -> Response {
    let command = Command::Transfer {
        from: body.from,
        to: body.to,
        amount_cents: body.amount_cents,
    };
    execute(
        &app,
        Operation::Transaction,
        arrival,
        command,
        Some(body.key),
    )
    .await
}

pub(super) async fn fork(
    Shared(app): Service,
    arrival: Arrival,
    Id(account): Id,
    Body(body): Body<bodies::Fork>,
) -> Response {
    let children = body.children;
    let command = Command::Fork { account, children };
    execute(&app, Operation::Fork, arrival, command, Some(body.key)).await
}

pub(super) async fn merge(
    Shared(app): Service,
    arrival: Arrival,
    Body(body): Body<bodies::Merge>,
) -> Response {
    let command = Command::Merge {
        sources: body.sources,
        target: body.target,
    };
    execute(&app, Operation::Merge, arrival, command, Some(body.key)).await
}

pub(super) async fn merge_portfolio(
    Shared(app): Service,
    arrival: Arrival,
    Id(portfolio): Id,
    Body(body): Body<bodies::MergePortfolio>,
) -> Response {
    let command = Command::MergePortfolio { portfolio };
    execute(&app, Operation::Merge, arrival, command, Some(body.key)).await
}

pub(super) async fn reinvest(
    Shared(app): Service,
    arrival: Arrival,
    Id(account): Id,
    Body(body): Body<bodies::Reinvest>,
) -> Response {
    let amount_cents = body.amount_cents;
    let command = Command::Reinvest {
        account,
        amount_cents,
    };
    execute(&app, Operation::Reinvest, arrival, command, Some(body.key)).await
}

pub(super) async fn account(Shared(app): Service, arrival: Arrival, Id(id): Id) -> Response {
    let work = async {
        let account = app.ledger.account(id).await?;
        Ok(Reply::ok(json(&View::of(&account))))
    };
    app.serve(Operation::Query, arrival, work).await
}

pub(super) async fn list(
    Shared(app): Service,
    arrival: Arrival,
    Params(params): Params<bodies::List>,
) -> Response {
    let (page, largest) = PAGE;
    let limit = params.limit.unwrap_or(page);
    if !(1..=largest).contains(&limit) {
        let message = format!("limit is 1 to {largest}, not {limit}");
        return app.refuse(Problem::malformed(StatusCode::BAD_REQUEST, message));
    }
    let selection = Selection {
        after: params.after,
        limit,
        owner: params.owner,
        kind: params.kind,
        state: params.state,
    };
    let work = async {
        let accounts = app.ledger.list(selection).await?;
        let full = accounts.len() as i64 == limit;
        let next = accounts.last().filter(|_| full).map(View::id);
        Ok(Reply::ok(json(&Page { accounts, next })))
    };
    app.serve(Operation::Query, arrival, work).await
}

pub(super) async fn lineage(Shared(app): Service, arrival: Arrival, Id(id): Id) -> Response {
    let work = async { Ok(Reply::ok(json(&app.ledger.lineage(id).await?))) };
    app.serve(Operation::Query, arrival, work).await
}

pub(super) async fn analytics(Shared(app): Service, arrival: Arrival, Id(id): Id) -> Response {
    let work = async { Ok(Reply::ok(app.ledger.analytics(id).await?.to_string())) };
    app.serve(Operation::Analytics, arrival, work).await
}

async fn create(app: &App, arrival: Arrival, command: Command, key: Option<String>) -> Response {
    let work = async {
        let mut reply = carry_out(app, command, key).await?;
        reply.status = StatusCode::CREATED;
        Ok(reply)
    };
    app.serve(Operation::Create, arrival, work).await
}

async fn execute(
    app: &App,
    operation: Operation,
    arrival: Arrival,
    command: Command,
    key: Option<String>,
) -> Response {
    app.serve(operation, arrival, carry_out(app, command, key))
        .await
}

async fn carry_out(app: &App, command: Command, key: Option<String>) -> Result<Reply, Failure> {
    let done = app.ledger.execute(command, key).await?;
    Ok(Reply::ok(done.receipt.to_string()))
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("a reply is plain data")
}
