//! The form of an episode group on disk.
//!
//! Must not know SQL. Invariant: as of its parent.

use serde::{Deserialize, Serialize};

use super::{all, parse};
use crate::catalog::{EpisodeGroup, GroupItem, GroupProgress};
use crate::ids::{EpisodeId, ProgramId};

#[derive(Serialize, Deserialize)]
struct GroupRow {
    client_token: String,
    domain: String,
    start_unix_ms: u64,
    repeat_num: i32,
    side_output: String,
    callback_url: Option<String>,
    stream_name: String,
    items: Vec<ItemRow>,
    #[serde(default)]
    progress: ProgressRow,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
enum ProgressRow {
    #[default]
    Waiting,
    Playing {
        item: u32,
        pass: u32,
    },
    Ended,
}

#[derive(Serialize, Deserialize)]
struct ItemRow {
    id: String,
    name: String,
    url: String,
}

/// The row's body.
pub(in crate::store) fn encode_group(group: &EpisodeGroup) -> String {
    let item = |item: &GroupItem| ItemRow {
        id: item.id.to_string(),
        name: item.name.clone(),
        url: item.url.clone(),
    };
    let row = GroupRow {
        client_token: group.client_token.clone(),
        domain: group.domain.clone(),
        start_unix_ms: group.start_unix_ms,
        repeat_num: group.repeat_num,
        side_output: group.side_output.clone(),
        callback_url: group.callback_url.clone(),
        stream_name: group.stream_name.clone(),
        items: group.items.iter().map(item).collect(),
        progress: match group.progress {
            GroupProgress::Waiting => ProgressRow::Waiting,
            GroupProgress::Playing { item, pass } => ProgressRow::Playing { item, pass },
            GroupProgress::Ended => ProgressRow::Ended,
        },
    };
    serde_json::to_string(&row).expect("rows have string keys and no foreign serializer")
}

/// The group of this row.
///
/// # Errors
/// What is wrong with the row, in words.
pub(in crate::store) fn decode_group(id: &str, body: &str) -> Result<EpisodeGroup, String> {
    let row: GroupRow = serde_json::from_str(body).map_err(|e| e.to_string())?;
    let item = |row: ItemRow| {
        let id = parse("item", &row.id, EpisodeId::parse)?;
        Ok::<GroupItem, String>(GroupItem { id, name: row.name, url: row.url })
    };
    Ok(EpisodeGroup {
        id: parse("id", id, ProgramId::parse)?,
        client_token: row.client_token,
        domain: row.domain,
        start_unix_ms: row.start_unix_ms,
        repeat_num: row.repeat_num,
        side_output: row.side_output,
        callback_url: row.callback_url,
        stream_name: row.stream_name,
        items: all(row.items, item)?,
        progress: match row.progress {
            ProgressRow::Waiting => GroupProgress::Waiting,
            ProgressRow::Playing { item, pass } => GroupProgress::Playing { item, pass },
            ProgressRow::Ended => GroupProgress::Ended,
        },
    })
}
