//! The operations as their documentation tells them: what the tables say, and who may call.
//!
//! Must not know how a page looks. Invariant: everything here is read from the tables that requests are answered by.

use super::operations::{OPERATIONS, Operation};
use super::outside;
use super::params::Params;
use crate::api::keys::Role;
use crate::catalog::ErrorCode;

/// An operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationFacts {
    /// Its name, `Action` on the wire.
    pub name: &'static str,
    /// Calls per second that the API's documentation grants an account.
    pub qps: u32,
    /// Parameters whose absence is refused with `Missing{Param}`.
    pub required: &'static [&'static str],
    /// The least role that may call it.
    pub role: Role,
    /// What those are refused with who may not.
    pub refusal: ErrorCode,
}

/// An operation of another mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutsideFacts {
    /// Its name, `Action` on the wire.
    pub name: &'static str,
    /// What it is refused with.
    pub code: String,
    /// The same in words.
    pub message: String,
}

/// Every operation that does something, in the order of the table.
pub fn operation_facts() -> Vec<OperationFacts> {
    OPERATIONS.iter().map(facts).collect()
}

fn facts(operation: &Operation) -> OperationFacts {
    // Who may call depends on the operation alone, so that a call of nothing tells it.
    let call = (operation.call)(&Params::default()).expect("what is absent is read as absent");
    let least = Role::ALL.into_iter().find(|role| role.may(&call));
    let Operation { name, qps, required, .. } = *operation;
    OperationFacts {
        name,
        qps,
        required,
        role: least.unwrap_or(Role::Admin),
        refusal: Role::refusal(&call),
    }
}

/// Every operation that is known by name and refused, in the order of the table.
pub fn outside_facts() -> Vec<OutsideFacts> {
    let refused = |operation: &Operation| {
        let fault = (operation.call)(&Params::default()).err()?;
        Some(OutsideFacts {
            name: operation.name,
            code: fault.code.into_owned(),
            message: fault.message,
        })
    };
    outside::OPERATIONS.iter().filter_map(refused).collect()
}
