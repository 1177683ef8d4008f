//! Records as rows and columns: Apache Parquet, one table per OCSF class.
//!
//! The columns of a class are those of the schema and never depend on what a file happens to hold, so that a table over many
//! files is one table. Objects have columns to the third level (`actor.user.uid`); what lies deeper, whatever may be any JSON
//! (`unmapped`) and objects that a SaaS log hardly has are JSON in a text column of the attribute's name. What no column takes, a
//! value of another type or an attribute the schema does not know, is in the text column `extra`: `split` tells how the two
//! make the record again. A record of no class the schema knows (ECS, the envelope, a vendor's own OCSF) is a row of
//! `id`, `time` and `json`.
//!
//! Times are as OCSF has them: whole milliseconds since 1970, in 64 bits.

mod columns;
mod heap;
mod split;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, OnceLock};

use ::parquet::arrow::ArrowWriter;
use ::parquet::arrow::arrow_writer::ArrowWriterOptions;
use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::{EnabledStatistics, WriterProperties};
use ::parquet::schema::types::ColumnPath;
use arrow_array::cast::AsArray as _;
use arrow_array::{Array as _, ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_json::ReaderBuilder;
use arrow_json::reader::Decoder;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};

use self::columns::Table;
use crate::Record;
use crate::ocsf::{self, Class};

/// How many rows are made into columns at once, and of how much JSON: what of a file is in memory twice.
const ROWS: usize = 256;
const ROW_BYTES: usize = 256 << 10;
/// How many records tell which columns to expect something in.
const SAMPLE: usize = 128;
/// What is encoded before it is written out. A file has few of these groups, for each has all the columns' headers.
const GROUP_BYTES: usize = 32 << 20;
/// What of a column is gathered before it is compressed.
const PAGE_BYTES: usize = 128 << 10;
/// Names the layout, not the release: the same records have to make the same bytes.
const CREATED_BY: &str = "auditline-parquet version 1.0.0 (build 1)";

/// The part of a file's name that tells its columns: the class, or `other`.
#[must_use]
pub fn table_name(class: Option<&Class>) -> &'static str {
    class.map_or("other", |class| class.name)
}

/// Writes one file of records that are all of `class`, by their time. The same records make the same bytes.
///
/// # Errors
/// When `to` cannot be written to.
pub fn write<W: Write + Send>(to: W, class: Option<&'static Class>, mut records: Vec<Record>) -> io::Result<W> {
    // A reader that asks for an hour skips the pages of others.
    records.sort_by_key(|record| record.time);
    let written = match class {
        Some(class) => events(to, class, &records),
        None => others(to, &records),
    };
    drop(records);
    heap::give_back();
    written.map_err(|error| match error {
        ::parquet::errors::ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(cause) => io::Error::other(cause),
        },
        error => io::Error::other(error),
    })
}

fn events<W: Write + Send>(to: W, class: &'static Class, records: &[Record]) -> ::parquet::errors::Result<W> {
    let table = Table::of(class);
    let columns = expected(table, records)?;
    let mut writer = writer(to, &table.schema, class.name, &columns)?;
    let mut rows = Rows::of(table, records.iter())?;
    while let Some(rows) = rows.next()? {
        writer.write(&rows)?;
    }
    writer.into_inner()
}

/// The columns to expect something in, by a few records from here and there. A dictionary and a compressor take memory
/// whether their column has anything in it or not, and most of the hundreds have nothing.
fn expected(table: &'static Table, records: &[Record]) -> Result<BTreeMap<String, bool>, ArrowError> {
    let mut columns = BTreeMap::new();
    let mut sample = Rows::of(table, records.iter().step_by(records.len().div_ceil(SAMPLE).max(1)))?;
    while let Some(rows) = sample.next()? {
        let arrays = rows.columns().iter().zip(table.schema.fields());
        arrays.for_each(|(array, field)| filled(array, field, Vec::new(), false, &mut columns));
    }
    Ok(columns)
}

/// Records on their way into columns.
struct Rows<I> {
    table: &'static Table,
    records: I,
    decoder: Decoder,
    row: String,
}

impl<'a, I: Iterator<Item = &'a Record>> Rows<I> {
    fn of(table: &'static Table, records: I) -> Result<Self, ArrowError> {
        let decoder = ReaderBuilder::new(table.schema.clone()).with_batch_size(ROWS).build_decoder()?;
        Ok(Self { table, records, decoder, row: String::new() })
    }

    fn next(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        let mut bytes = 0;
        while self.decoder.len() < ROWS && bytes < ROW_BYTES {
            let Some(record) = self.records.next() else { break };
            self.row.clear();
            // Records are JSON, which is UTF-8; what is not would be kept, character by character.
            split::row(&String::from_utf8_lossy(&record.json), &self.table.columns, &mut self.row);
            bytes += self.decoder.decode(self.row.as_bytes())?;
        }
        self.decoder.flush()
    }
}

/// The columns with something in them, as Parquet names them, and `true`; those that tell of a list how long it is, and `false`.
fn filled(array: &ArrayRef, field: &Field, mut path: Vec<String>, in_list: bool, found: &mut BTreeMap<String, bool>) {
    path.push(field.name().clone());
    let is_filled = array.null_count() < array.len();
    if !is_filled && !in_list {
        return;
    }
    match field.data_type() {
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            columns.iter().zip(fields).for_each(|(array, field)| filled(array, field, path.clone(), in_list, found));
        }
        DataType::List(element) => {
            path.push("list".to_owned());
            filled(array.as_list::<i32>().values(), element, path, true, found);
        }
        _ => *found.entry(path.join(".")).or_default() |= is_filled,
    }
}

fn others<W: Write + Send>(to: W, records: &[Record]) -> ::parquet::errors::Result<W> {
    static SCHEMA: OnceLock<SchemaRef> = OnceLock::new();
    let schema = SCHEMA.get_or_init(|| {
        let field = |name, kind| Field::new(name, kind, false);
        let fields = [("id", DataType::Utf8), ("time", DataType::Int64), ("json", DataType::Utf8)];
        Arc::new(Schema::new(fields.map(|(name, kind)| field(name, kind)).to_vec()))
    });
    // No value comes twice that would be worth a dictionary.
    let columns = schema.fields().iter().map(|field| (field.name().clone(), false)).collect();
    let mut writer = writer(to, schema, table_name(None), &columns)?;
    for records in records.chunks(ROWS) {
        let ids: StringArray = records.iter().map(|record| Some(record.id.as_str())).collect();
        let times: Int64Array = records.iter().map(|record| Some(record.time.timestamp_millis())).collect();
        let texts: StringArray = records.iter().map(|record| Some(String::from_utf8_lossy(&record.json))).collect();
        let columns: Vec<ArrayRef> = vec![Arc::new(ids), Arc::new(times), Arc::new(texts)];
        writer.write(&RecordBatch::try_new(schema.clone(), columns)?)?;
    }
    writer.into_inner()
}

/// Only `columns` are compressed, and have dictionaries where it says `true`.
fn writer<W: Write + Send>(
    to: W,
    schema: &SchemaRef,
    table: &str,
    columns: &BTreeMap<String, bool>,
) -> ::parquet::errors::Result<ArrowWriter<W>> {
    let about = |key: &str, value: &str| KeyValue::new(key.to_owned(), value.to_owned());
    let mut properties = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_max_row_group_bytes(Some(GROUP_BYTES))
        // Bounds per group of rows and not per page: most columns of a vendor's log are empty, and each page would
        // weigh more than what is in it.
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_dictionary_enabled(false)
        .set_dictionary_page_size_limit(PAGE_BYTES)
        .set_data_page_size_limit(PAGE_BYTES)
        .set_key_value_metadata(Some(vec![about("ocsf.version", ocsf::VERSION), about("ocsf.class", table)]));
    for (column, dictionary) in columns {
        let column = ColumnPath::from(column.split('.').map(str::to_owned).collect::<Vec<_>>());
        properties = properties
            .set_column_compression(column.clone(), Compression::ZSTD(ZstdLevel::default()))
            .set_column_dictionary_enabled(column, *dictionary);
    }
    let properties = properties.build();
    // Arrow's own copy of the schema would be the largest part of a small file, and tells no more than Parquet's.
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    ArrowWriter::try_new_with_options(to, schema.clone(), options)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::contract;

    fn event(n: u64) -> String {
        format!(
            r#"{{"class_uid":6003,"time":{},"actor":{{"user":{{"uid":"u{n}"}}}},"unmapped":{{"n":{n}}},"new":[{n}]}}"#,
            1_773_480_413_000 + n
        )
    }

    #[test]
    fn the_same_records_make_the_same_bytes() {
        let records: Vec<Record> = contract::batch_of("p", 1, (0..3000).map(event)).records.into();
        let class = ocsf::class_of(&records[0].json);
        let one = write(Vec::new(), class, records.clone()).unwrap();
        assert!(one == write(Vec::new(), class, records.clone()).unwrap());
        let lines: usize = records.iter().map(|record| record.json.len() + 1).sum();
        println!("{} bytes of {lines}", one.len());
        let few = write(Vec::new(), class, records[..10].to_vec()).unwrap();
        println!("{} bytes for ten records", few.len());
        let other = write(Vec::new(), None, records.clone()).unwrap();
        assert!(other == write(Vec::new(), None, records).unwrap());
        assert!(one.starts_with(b"PAR1") && other.starts_with(b"PAR1"));
    }

    #[test]
    fn a_destination_that_is_full_says_so_in_its_own_words() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::Error::new(io::ErrorKind::StorageFull, "no room"))
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut records: Vec<Record> = contract::batch_of("p", 1, [event(1)]).records.into();
        records[0].json = Bytes::from(event(7));
        let error = write(Full, ocsf::class_of(&records[0].json), records).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
    }
}
