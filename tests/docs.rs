//! `docs/api.md` says what the tables and the proto say: its parts between `<!-- made: … -->` and `<!-- end -->` are
//! made here.
//!
//! `ONAIR_WRITE_DOCS=1 cargo test --test docs` writes them anew. Must not know the parts that people write. Invariant:
//! everything that is made comes from `api::openapi`, `catalog::ErrorCode` and `proto/onair/v1`.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use onair::api::grpc::grpc_code;
use onair::api::openapi::{OperationFacts, operation_facts, outside_facts};
use onair::catalog::ErrorCode;

const PAGE: &str = "docs/api.md";
const WRITE: &str = "ONAIR_WRITE_DOCS";
/// Calls that have no counterpart on the cloud API's wire, and who may make them.
const OUR_OWN: [(&str, &str); 11] = [
    ("DescribeLayoutPresets", "viewer"),
    ("FadeCasterToBlack", "operator"),
    ("StartCasterRecording", "operator"),
    ("StopCasterRecording", "operator"),
    ("ListRecordings", "viewer"),
    ("DescribeRecording", "viewer"),
    ("DeleteRecording", "admin"),
    ("WatchCaster", "viewer"),
    ("ListMedia", "viewer"),
    ("DescribeMedia", "viewer"),
    ("DeleteMedia", "admin"),
];

/// What the proto files say.
#[derive(Default)]
struct Proto {
    rpcs: BTreeMap<String, Rpc>,
    types: BTreeMap<String, Type>,
}

struct Rpc {
    comment: String,
    request: String,
    response: String,
}

/// A message or an enum.
#[derive(Default)]
struct Type {
    comment: String,
    fields: Vec<Field>,
}

struct Field {
    /// As it is written: `optional int32`; the number of an enum's value.
    kind: String,
    name: String,
    comment: String,
}

impl Proto {
    fn read() -> Proto {
        let mut proto = Proto::default();
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/onair/v1");
        let mut paths: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            proto.read_file(&fs::read_to_string(path).unwrap());
        }
        proto
    }

    /// One statement a line, but for calls, which may take two.
    fn read_file(&mut self, text: &str) {
        let (mut comment, mut statement) = (String::new(), String::new());
        let mut open: Option<(String, Type)> = None;
        for line in text.lines().map(str::trim) {
            if line.is_empty() {
                comment.clear();
            } else if let Some(said) = line.strip_prefix("//") {
                comment = [comment.trim(), said.trim()].join(" ");
            } else {
                statement = [statement.trim(), line].join(" ");
                if !line.ends_with([';', '{', '}']) {
                    continue;
                }
                let statement = std::mem::take(&mut statement);
                let comment = std::mem::take(&mut comment);
                self.read_statement(statement.trim(), comment.trim(), &mut open);
            }
        }
    }

    fn read_statement(&mut self, text: &str, comment: &str, open: &mut Option<(String, Type)>) {
        let words: Vec<&str> = text.split(|c: char| " ()={};".contains(c)).collect();
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        let comment = comment.to_owned();
        match words[..] {
            ["rpc", name, ref rest @ ..] => {
                let types: Vec<&str> =
                    rest.iter().copied().filter(|w| !["returns", "stream"].contains(w)).collect();
                let (request, response) = (types[0].to_owned(), types[1].to_owned());
                self.rpcs.insert(name.to_owned(), Rpc { comment, request, response });
            }
            ["message" | "enum", name] => {
                let begun = Type { comment, fields: Vec::new() };
                match text.ends_with('}') {
                    true => drop(self.types.insert(name.to_owned(), begun)),
                    false => *open = Some((name.to_owned(), begun)),
                }
            }
            [] => {
                if let Some((name, whole)) = open.take() {
                    self.types.insert(name, whole);
                }
            }
            [ref kind @ .., name, number] => {
                // Syntax, package, import and service are no fields of anything.
                let Some((_, open)) = open else { return };
                let kind = if kind.is_empty() { number.to_owned() } else { kind.join(" ") };
                open.fields.push(Field { kind, name: name.to_owned(), comment });
            }
            [_] => {}
        }
    }

    /// A type that is part of others, not the request or answer of a call.
    fn is_part(&self, name: &str) -> bool {
        self.types.contains_key(name)
            && self.rpcs.values().all(|rpc| rpc.request != name && rpc.response != name)
    }

    fn table(&self, name: &str, heads: [&str; 2]) -> String {
        let fields = &self.types[name].fields;
        if fields.is_empty() {
            return format!("{}: nothing.\n", heads[0]);
        }
        let mut text = format!("| {} | {} | |\n|---|---|---|\n", heads[0], heads[1]);
        for Field { kind, name, comment } in fields {
            let last = kind.rsplit(' ').next().unwrap_or_default();
            let kind = match self.is_part(last) {
                true => kind.replace(last, &format!("[{last}](#{})", last.to_lowercase())),
                false => kind.clone(),
            };
            let comment = comment.replace('|', "\\|");
            writeln!(text, "| `{name}` | {kind} | {comment} |").unwrap();
        }
        text
    }

    fn call(&self, name: &str) -> String {
        let Rpc { comment, request, response } = &self.rpcs[name];
        let request = self.table(request, ["request", "type"]);
        let response = self.table(response, ["answer", "type"]);
        format!("{comment}\n\n{request}\n{response}")
    }

    /// Every type that is part of others, by name.
    fn parts(&self) -> String {
        let mut text = String::new();
        for (name, Type { comment, .. }) in &self.types {
            if self.is_part(name) {
                let table = self.table(name, ["field", "type"]);
                let comment =
                    if comment.is_empty() { String::new() } else { format!("{comment}\n\n") };
                write!(text, "#### {name}\n\n{comment}{table}\n").unwrap();
            }
        }
        text
    }
}

fn operations() -> String {
    let mut text = String::from(
        "| operation | role | calls/s | mandatory parameters | refused by role with |\n\
         |---|---|---|---|---|\n",
    );
    for OperationFacts { name, qps, required, role, refusal } in operation_facts() {
        let required: Vec<String> = required.iter().map(|name| format!("`{name}`")).collect();
        let (link, required) = (name.to_lowercase(), required.join(", "));
        let refusal = if role.as_str() == "viewer" { "" } else { refusal.as_str() };
        writeln!(text, "| [{name}](#{link}) | {role} | {qps} | {required} | {refusal} |").unwrap();
    }
    text
}

fn other_modes() -> String {
    let mut text = String::from("| operations | code | message |\n|---|---|---|\n");
    let facts = outside_facts();
    for alike in facts.chunk_by(|a, b| a.message == b.message) {
        let names: Vec<String> = alike.iter().map(|o| format!("`{}`", o.name)).collect();
        let (names, first) = (names.join(", "), &alike[0]);
        writeln!(text, "| {names} | `{}` | {} |", first.code, first.message).unwrap();
    }
    text
}

fn errors() -> String {
    let mut text = String::from(
        "| code | HTTP | gRPC | usual message |\n\
         |---|---|---|---|\n",
    );
    for &code in ErrorCode::ALL {
        let grpc = match code.is_of_the_wire() {
            true => "–".to_owned(),
            false => format!("{:?}", grpc_code(code)),
        };
        let (http, message) = (code.http_status(), code.message());
        writeln!(text, "| `{code}` | {http} | {grpc} | {message} |").unwrap();
    }
    text
}

fn calls(proto: &Proto) -> String {
    let mut text = String::new();
    for OperationFacts { name, role, .. } in operation_facts() {
        write!(text, "#### {name}\n\nRole: {role}. {}\n", proto.call(name)).unwrap();
    }
    for (name, role) in OUR_OWN {
        write!(text, "#### {name}\n\ngRPC only. Role: {role}. {}\n", proto.call(name)).unwrap();
    }
    text
}

/// The page with what is between the marks of `part` replaced.
fn with(page: &str, part: &str, made: &str) -> String {
    let begin = format!("<!-- made: {part} -->\n");
    let (before, rest) = page.split_once(&begin).expect("the page has the part's mark");
    let (_, after) = rest.split_once("<!-- end -->").expect("the part has an end");
    format!("{before}{begin}\n{}\n\n<!-- end -->{after}", made.trim_end())
}

#[test]
fn the_page_says_what_the_code_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = fs::read_to_string(&path).unwrap();
    let proto = Proto::read();
    let mut made = page.clone();
    for (part, text) in [
        ("operations", operations()),
        ("other modes", other_modes()),
        ("errors", errors()),
        ("calls", calls(&proto)),
        ("types", proto.parts()),
    ] {
        made = with(&made, part, &text);
    }
    if std::env::var_os(WRITE).is_some() {
        fs::write(&path, &made).unwrap();
        return;
    }
    let differs = page.lines().zip(made.lines()).find(|(is, should)| is != should);
    let same = page == made;
    assert!(same, "{PAGE} is out of date, run: {WRITE}=1 cargo test --test docs ({differs:?})");
}

#[test]
fn every_call_is_told() {
    let told: Vec<&str> =
        operation_facts().iter().map(|o| o.name).chain(OUR_OWN.map(|(name, _)| name)).collect();
    let proto = Proto::read();
    for name in proto.rpcs.keys() {
        assert!(told.contains(&&name[..]), "{name} is in the proto only");
    }
    assert_eq!(told.len(), proto.rpcs.len());
    for field in proto.types.values().flat_map(|whole| &whole.fields) {
        assert!(!field.kind.is_empty(), "{}", field.name);
    }
}
