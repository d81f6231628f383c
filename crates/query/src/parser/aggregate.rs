//! Aggregations: `op by (labels) (args)` or `op(args) by (labels)`.

use super::Parser;
use crate::ast::{Aggregate, AggregateOp, Expr};
use crate::lexer::{Fault, Keyword};
use crate::position::Position;

impl Parser<'_> {
    pub(super) fn aggregate(&mut self, op: AggregateOp) -> Result<Expr, Fault> {
        let start = self.advance()?.position.start;
        let before = self.grouping_clause()?;
        let args = self.arguments()?;
        let clause = match before {
            Some(clause) => Some(clause),
            None => self.grouping_clause()?,
        };
        let (without, labels) = clause.unwrap_or_default();
        let position = Position::new(start, self.last_end);
        let (parameter, inner) = split_arguments(op, args, position)?;
        let step_invariant =
            inner.step_invariant() && parameter.as_ref().is_none_or(Expr::step_invariant);
        Ok(Expr::Aggregate(Box::new(Aggregate {
            op,
            inner,
            parameter,
            without,
            labels,
            step_invariant,
            position,
        })))
    }

    /// `by (labels)` or `without (labels)`, if there is one.
    fn grouping_clause(&mut self) -> Result<Option<(bool, Vec<String>)>, Fault> {
        let without = self.accept_keyword(Keyword::Without)?;
        if without || self.accept_keyword(Keyword::By)? {
            return Ok(Some((without, self.label_list()?)));
        }
        Ok(None)
    }
}

/// The parameter, if the operator takes one, and the vector.
fn split_arguments(
    op: AggregateOp,
    mut args: Vec<Expr>,
    position: Position,
) -> Result<(Option<Expr>, Expr), Fault> {
    let wanted = 1 + usize::from(op.takes_parameter());
    let found = args.len();
    let Some(inner) = args.pop().filter(|_| found == wanted) else {
        let message = if found == 0 {
            "no arguments for aggregate expression provided".to_owned()
        } else {
            format!(
                "wrong number of arguments for aggregate expression provided, \
                 expected {wanted}, got {found}"
            )
        };
        return Err((message, position));
    };
    Ok((args.pop(), inner))
}
