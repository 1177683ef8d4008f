//! What a connector's requests look like, and which of them one is.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use url::Url;

use super::asked::{Asked, Incoming, What};
use super::pattern::{Pattern, Variables, marked, take_json};
use super::{NotCovered, Terms};
use crate::connector::model::{Detail, Each, Find, GraphQl, Job, Method, Read, Request};
use crate::connector::{Template, fill_members};
use crate::document::Spanned;

/// What one of the connector's requests looks like.
#[derive(Clone, Debug)]
pub struct Recognized {
    what: What,
    method: &'static str,
    path: Vec<Pattern>,
    query: BTreeMap<String, Pattern>,
    form: BTreeMap<String, Pattern>,
    json: Option<Json>,
    headers: BTreeMap<String, Pattern>,
}

/// The path of the connector's base URL, without a slash at its end.
pub fn base_path(terms: &Terms) -> String {
    let base = terms.connector.definition.connector.base_url.fill_address(&|name| terms.parameter(name));
    let url = base.and_then(|base| Url::parse(&base).ok());
    url.map(|url| url.path().trim_end_matches('/').to_owned()).unwrap_or_default()
}

/// Every request of the way to read.
///
/// # Errors
/// When the way to read has something that is not covered yet. Whoever adds a key to `[read.NAME]` is led here by the
/// compiler: what this vendor cannot answer is to be named, and not passed over in silence.
pub fn recognized(terms: &Terms) -> Result<Vec<Recognized>, NotCovered> {
    let Read { request, job, each, detail, order: _, page_sizes: _, paginate: _, beyond: _ } = terms.way_to_read();
    let mut all = Vec::new();
    let mut add = |request: &Request, what| all.push(Recognized::of(terms, request, what));
    if let Some(Job { poll, download, find, id: _, ready: _, size: _, every: _, give_up: _ }) = job {
        add(request, What::Order);
        add(poll, What::Poll);
        add(download, What::Download);
        if let Some(Find { request, records: _, id: _, matches: _, time: _ }) = find {
            add(request, What::Find);
        }
    } else {
        add(request, What::Page);
    }
    if let Some(Each { request, records: _, id: _, paginate: _ }) = each {
        add(request, What::Parents);
    }
    if let Some(Detail { request, record: _ }) = detail {
        add(request, What::Detail);
    }
    Ok(all)
}

/// Which request that is.
///
/// # Errors
/// When it is none of them; says why it is not the one that it is nearest to.
pub fn recognize(known: &[Recognized], incoming: &Incoming) -> Result<Asked, String> {
    let mut nearest = format!("`{}` is none of the connector's requests", incoming.line());
    for request in known {
        match request.take(incoming) {
            Ok(Some(variables)) => {
                return Ok(Asked { what: request.what, variables, address: incoming.address.clone(), token: None });
            }
            Ok(None) => {}
            Err(reason) => nearest = format!("`{}`: {reason}", incoming.line()),
        }
    }
    Err(nearest)
}

impl Recognized {
    fn of(terms: &Terms, request: &Request, what: What) -> Self {
        let Request { method, path, headers, query, form, json, graphql } = request;
        let parameter = |name: &str| terms.parameter(name);
        let marks = marked(&parameter);
        let pattern = |template: &Template| Pattern::of(&template.fill_text(&marks).unwrap_or_default());
        let patterns = |templates: &BTreeMap<String, Spanned<Template>>| {
            templates.iter().map(|(name, template)| (name.clone(), pattern(template))).collect()
        };
        let path = format!("{}{}", base_path(terms), path.fill_text(&marks).unwrap_or_default());
        let mut body = fill_members(json, &marks);
        if let Some(GraphQl { query, variables }) = graphql {
            body.insert("query".to_owned(), query.value.as_str().into());
            body.insert("variables".to_owned(), Json::Object(fill_members(variables, &marks)));
        }
        Self {
            what,
            method: match method {
                Method::Get => "GET",
                Method::Post => "POST",
            },
            path: path.split('/').map(Pattern::of).collect(),
            query: patterns(query),
            form: patterns(form),
            json: (!json.is_empty() || graphql.is_some()).then_some(Json::Object(body)),
            headers: patterns(headers),
        }
    }

    /// What its variables stand for in `incoming`; `None` when that is for something else altogether.
    ///
    /// # Errors
    /// When it is at the same path, and yet not this request.
    fn take(&self, incoming: &Incoming) -> Result<Option<Variables>, String> {
        let mut variables = Variables::new();
        let is_here = self.method == incoming.method
            && self.path.len() == incoming.path.len()
            && self.path.iter().zip(&incoming.path).all(|(pattern, segment)| pattern.take(segment, &mut variables));
        if !is_here {
            return Ok(None);
        }
        take_pairs("query", &self.query, &incoming.query, &mut variables)?;
        take_pairs("form", &self.form, &incoming.form, &mut variables)?;
        match (&self.json, &incoming.json) {
            (None, None) => {}
            (Some(pattern), Some(json)) if take_json(pattern, json, &mut variables) => {}
            (_, Some(json)) => return Err(format!("its body is not as the connector says: {json}")),
            (Some(_), None) => return Err("it has no JSON body".to_owned()),
        }
        for (name, pattern) in &self.headers {
            match incoming.headers.get(name).and_then(|value| value.to_str().ok()) {
                Some(value) if pattern.take(value, &mut variables) => {}
                None if pattern.may_be_left_out() => {}
                _ => return Err(format!("its header `{name}` is not as the connector says")),
            }
        }
        Ok(Some(variables))
    }
}

fn take_pairs(
    place: &str,
    patterns: &BTreeMap<String, Pattern>,
    pairs: &[(String, String)],
    variables: &mut Variables,
) -> Result<(), String> {
    for (name, value) in pairs {
        let pattern = patterns.get(name).ok_or_else(|| format!("`{name}` is not in the connector's {place}"))?;
        if !pattern.take(value, variables) {
            return Err(format!("`{name}` of its {place} is `{value}`, which is not as the connector says"));
        }
    }
    let is_there = |name: &String| pairs.iter().any(|(known, _)| known == name);
    match patterns.iter().find(|(name, pattern)| !pattern.may_be_left_out() && !is_there(name)) {
        Some((name, _)) => Err(format!("`{name}` is missing in its {place}")),
        None => Ok(()),
    }
}
