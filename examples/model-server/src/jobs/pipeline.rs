//! A pipeline of models as files: the layout of the public database, with models in the library's own format.

use std::fs;
use std::io::Write;
use std::path::Path;

use kepler_core::MachineSpec;
use kepler_core::model::SpecRecord;
use serde_json::json;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// The files of a pipeline, by their names in it.
pub(super) struct Pipeline {
    files: Vec<(String, Vec<u8>)>,
}

impl Pipeline {
    /// Without models yet. `node_type` is the machine's number in the pipeline.
    pub(super) fn new(name: &str, origin: &str, node_type: u32, machine: &MachineSpec) -> Self {
        let about = json!({"name": name, "data": origin});
        let node = json!({"attrs": SpecRecord::from(machine), "members": [name]});
        let nodes = json!({node_type.to_string(): node});
        let files = [("metadata.json", about), ("node_type_index.json", nodes)];
        let file = |(name, value): (&str, serde_json::Value)| {
            (name.to_owned(), format!("{value:#}\n").into_bytes())
        };
        Self {
            files: files.map(file).into(),
        }
    }

    /// Adds a model at its place, such as `rapl-sysfs/AbsPower/Basic/XgboostFitTrainer_0`.
    pub(super) fn add(&mut self, place: &str, model: String) {
        self.files
            .push((format!("{place}.json"), model.into_bytes()));
    }

    /// Writes a folder, or a zip where the path ends with `.zip`: whole or not at all.
    ///
    /// # Errors
    /// Why it cannot be written.
    pub(super) fn write(&self, path: &Path) -> Result<(), String> {
        let fail = |e: std::io::Error| format!("cannot write {}: {e}", path.display());
        let name = path
            .file_name()
            .ok_or_else(|| format!("{} names no file", path.display()))?;
        let beside = path.with_file_name(format!(".{}.part", name.to_string_lossy()));
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(fail)?;
        }
        if path.extension().is_some_and(|ending| ending == "zip") {
            fs::write(&beside, self.zipped().map_err(fail)?).map_err(fail)?;
            return fs::rename(&beside, path).map_err(fail);
        }
        if path.exists() {
            return Err(format!("{} is there already", path.display()));
        }
        for (name, bytes) in &self.files {
            let file = beside.join(name);
            fs::create_dir_all(file.parent().unwrap_or(&beside)).map_err(fail)?;
            fs::write(&file, bytes).map_err(fail)?;
        }
        fs::rename(&beside, path).map_err(fail)
    }

    /// The same bytes for the same files, whenever they are packed.
    fn zipped(&self) -> std::io::Result<Vec<u8>> {
        let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (name, bytes) in &self.files {
            zip.start_file(name.as_str(), SimpleFileOptions::default())?;
            zip.write_all(bytes)?;
        }
        Ok(zip.finish()?.into_inner())
    }
}
