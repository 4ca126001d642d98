//! `herd nodes`: one table of all nodes of the herd, from one census through a node of this machine.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};

use serde_json::Value;

use super::status;
use super::terminal::for_terminal;
use crate::cli::flags::parse::NodesOptions;
use crate::cli::{Failure, write};
use crate::config::{near_or, quoted};
use crate::server::control::Request;
use crate::server::status::Span;

/// The most nodes that a sentence names; it counts more.
const NAMES_SHOWN_MAX: usize = 5;

/// Prints the nodes of these names, or all, as a table or as JSON.
pub(in crate::cli) fn run(options: &NodesOptions, out: &mut dyn Write) -> Result<(), Failure> {
    let answer = status::answer(options.node.as_deref(), Request::Nodes)?;
    let could_not = |why: String| Failure::CouldNotRun(format!("nodes: {why}"));
    let mut herd: Value = serde_json::from_str(&answer)
        .map_err(|error| could_not(format!("the node's answer is cut or not valid: {error}")))?;
    choose(&mut herd, &options.names).map_err(could_not)?;
    let text = if options.json { format!("{herd}\n") } else { table(&herd) };
    write(out, &for_terminal(text.as_bytes(), std::io::stdout().is_terminal()))
}

/// Removes the nodes that are not in `names`, unless that is empty.
fn choose(herd: &mut Value, names: &[String]) -> Result<(), String> {
    let Some(nodes) = herd["nodes"].as_array_mut() else {
        return Err("the node's answer has no nodes".into());
    };
    if let Some(unknown) = names.iter().find(|wanted| !nodes.iter().any(|node| name(node) == **wanted)) {
        let remedy = near_or(unknown, nodes.iter().map(name), || "herd nodes lists all".to_owned());
        return Err(format!("the herd has no node {} ({remedy})", quoted(unknown)));
    }
    nodes.retain(|node| names.is_empty() || names.iter().any(|wanted| wanted == name(node)));
    Ok(())
}

fn name(node: &Value) -> &str {
    node["node"].as_str().unwrap_or_default()
}

fn table(herd: &Value) -> String {
    let nodes = herd["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut rows =
        vec![["node", "version", "up", "in sync", "clients", "pending", "memory"].map(str::to_owned)];
    rows.extend(nodes.iter().map(row));
    let widths: [usize; 7] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let mut table = String::new();
    for (row, node) in rows.iter().zip([&Value::Null].into_iter().chain(nodes)) {
        let [name, version, up, in_sync, clients, pending, memory] = row;
        let [w0, w1, w2, w3, w4, w5, w6] = widths;
        let _ = match node["answers"] == false {
            true => writeln!(table, "{name:w0$}  no answer"),
            false => writeln!(
                table,
                "{name:w0$}  {version:w1$}  {up:w2$}  {in_sync:w3$}  {clients:>w4$}  {pending:>w5$}  {memory:>w6$}"
            ),
        };
    }
    for sentence in sentences(herd, nodes) {
        let _ = writeln!(table, "{sentence}");
    }
    table
}

/// The cells of a node. A node that does not answer has only a name.
fn row(node: &Value) -> [String; 7] {
    let name = name(node).to_owned();
    if node["answers"] == false {
        return std::array::from_fn(|column| if column == 0 { name.clone() } else { String::new() });
    }
    let number = |member: &str| node[member].as_u64().map(|number| number.to_string());
    let up = Span(1_000 * node["up_s"].as_u64().unwrap_or(0)).to_string();
    let in_sync = if node["is_in_sync"] == true { "yes" } else { "no" };
    let [clients, pending] = ["clients", "pending"].map(|member| number(member).unwrap_or_default());
    let memory = number("private_kb").map_or("not known".to_owned(), |kb| format!("{kb} KB"));
    [
        name,
        node["version"].as_str().unwrap_or_default().to_owned(),
        up,
        in_sync.to_owned(),
        clients,
        pending,
        memory,
    ]
}

/// What the operator must know beside the table.
fn sentences(herd: &Value, nodes: &[Value]) -> Vec<String> {
    let mut sentences = Vec::new();
    let mut versions: Vec<(&str, Vec<&str>)> = Vec::new();
    for node in nodes.iter().filter(|node| node["answers"] == true) {
        let version = node["version"].as_str().unwrap_or_default();
        match versions.iter_mut().find(|(known, _)| *known == version) {
            Some((_, names)) => names.push(name(node)),
            None => versions.push((version, vec![name(node)])),
        }
    }
    if versions.len() > 1 {
        let on = |(version, names): &(&str, Vec<&str>)| match names.len() > NAMES_SHOWN_MAX {
            true => format!("{version} on {} nodes", names.len()),
            false => format!("{version} on {}", names.join(", ")),
        };
        let parts: Vec<String> = versions.iter().map(on).collect();
        sentences.push(format!(
            "the nodes run unlike versions: {} (install one version on all)",
            parts.join("; ")
        ));
    }
    match herd["other_map"].as_u64().unwrap_or(0) {
        0 => {}
        1 => sentences.push("1 node has another configuration: give all nodes the same".to_owned()),
        count => sentences.push(format!("{count} nodes have another configuration: give all nodes the same")),
    }
    if nodes.iter().any(|node| node["is_in_sync"] != true) {
        sentences.push("the reasons: herd status --all".to_owned());
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn herd() -> Value {
        let text = r#"{"asked":"Hill","file":"herd.json","other_map":1,"nodes":[
            {"node":"Hill","answers":true,"version":"0.2.0","up_s":5,"is_in_sync":false,"clients":9,"pending":3,"private_kb":null},
            {"node":"Jaquez","answers":false},
            {"node":"Smith","answers":true,"version":"0.1.0","up_s":3725,"is_in_sync":true,"clients":12,"pending":0,"private_kb":1900}]}"#;
        serde_json::from_str(text).expect("JSON")
    }

    #[test]
    fn a_table_has_a_row_for_each_node() {
        let mut all = herd();
        choose(&mut all, &[]).expect("all nodes");
        assert_eq!(
            table(&all),
            "node    version  up         in sync  clients  pending     memory\n\
             Hill    0.2.0    5 s        no             9        3  not known\n\
             Jaquez  no answer\n\
             Smith   0.1.0    1 h 2 min  yes           12        0    1900 KB\n\
             the nodes run unlike versions: 0.2.0 on Hill; 0.1.0 on Smith (install one version on all)\n\
             1 node has another configuration: give all nodes the same\n\
             the reasons: herd status --all\n"
        );
        let mut one = herd();
        one["other_map"] = 0.into();
        choose(&mut one, &["Smith".to_owned()]).expect("the node is there");
        assert_eq!(table(&one).lines().count(), 2);
    }

    #[test]
    fn an_unknown_name_is_an_error() {
        let wrong = choose(&mut herd(), &["Smiht".to_owned()]).expect_err("it is not there");
        assert_eq!(wrong, "the herd has no node \"Smiht\" (did you mean \"Smith\"?)");
        assert!(choose(&mut Value::Null, &[]).is_err());
    }
}
