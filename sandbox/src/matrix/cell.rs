//! The cells: a command, a point of its run, and what is done to it there.

use super::call::{Call, Point, Side, points};
use super::command::Command;
use super::fault::{Blow, Fault};

/// One cell.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub(super) command: &'static Command,
    pub(super) point: Point,
    pub(super) blow: Blow,
}

impl Cell {
    /// Its name, which stays the same from run to run: `register/aws/eks:RegisterCluster/503/once`.
    pub(super) fn name(&self) -> String {
        let side = self.point.call.side.name();
        format!("{}/{side}/{}/{}", self.command.name, self.point.label, self.blow.name())
    }

    /// Whether `only` names it, or it and others: it is the name or whole parts at its beginning.
    pub(super) fn is_one_of(&self, only: &str) -> bool {
        let name = self.name();
        name.strip_prefix(only.trim_end_matches('/'))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// All cells of a command whose good run made these calls. After each call of AWS and each write to the cluster it is
/// killed; each call fails in every way that concerns it.
pub(super) fn cells(command: &'static Command, calls: &[Call]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for side in Side::ALL {
        let of_side: Vec<Call> = calls.iter().filter(|call| call.side == side).cloned().collect();
        for point in points(&of_side) {
            if side == Side::Aws || point.call.write {
                cells.push(Cell { command, point: point.clone(), blow: Blow::Kill });
            }
            for fault in Fault::ALL.into_iter().filter(|fault| fault.concerns(point.call.write)) {
                for lasting in [false, true] {
                    let blow = Blow::Fault { fault, lasting };
                    cells.push(Cell { command, point: point.clone(), blow });
                }
            }
        }
    }
    cells
}
