//! XGBoost's own JSON model files.

use serde::{Deserialize, Deserializer};

use super::estimator::Estimator;
use super::tree::{Trees, below};
use crate::error::{Error, Result};

#[derive(Deserialize)]
struct File {
    learner: Learner,
}

#[derive(Deserialize)]
struct Learner {
    gradient_booster: Booster,
    learner_model_param: LearnerParameters,
    objective: Objective,
}

#[derive(Deserialize)]
struct LearnerParameters {
    base_score: String,
    #[serde(default)]
    num_target: Option<String>,
}

#[derive(Deserialize)]
struct Objective {
    name: String,
}

#[derive(Deserialize)]
struct Booster {
    name: String,
    model: BoosterModel,
}

#[derive(Deserialize)]
struct BoosterModel {
    trees: Vec<Tree>,
}

#[derive(Deserialize)]
struct Tree {
    left_children: Vec<i32>,
    right_children: Vec<i32>,
    split_indices: Vec<u16>,
    split_conditions: Vec<f32>,
    #[serde(default, deserialize_with = "any_of")]
    split_type: bool,
}

/// Whether a list has a number other than 0: such a split is on categories.
fn any_of<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<bool, D::Error> {
    Ok(Vec::<i32>::deserialize(from)?.iter().any(|n| *n != 0))
}

/// Reads boosted trees for squared error.
pub(super) fn estimator(bytes: &[u8], place: &str) -> Result<Estimator> {
    let file: File = serde_json::from_slice(bytes)
        .map_err(|e| Error::malformed(place, "an XGBoost model", e.to_string()))?;
    let learner = file.learner;
    let unsupported = |why: String| Error::Unsupported {
        what: place.to_owned(),
        why,
        hint: String::new(),
    };
    if learner.gradient_booster.name != "gbtree" || learner.objective.name != "reg:squarederror" {
        return Err(unsupported(format!(
            "a {} for {} is not a sum of trees in watts",
            learner.gradient_booster.name, learner.objective.name
        )));
    }
    if learner
        .learner_model_param
        .num_target
        .is_some_and(|n| n.parse() != Ok(1))
    {
        return Err(unsupported("it predicts several figures".to_owned()));
    }
    let base = &learner.learner_model_param.base_score;
    let base: f32 = base
        .trim_matches(['[', ']'])
        .parse()
        .map_err(|_text| Error::malformed(place, "base_score as a number", base))?;
    let mut trees = Trees {
        base: base.into(),
        single: true,
        ..Trees::default()
    };
    for (number, tree) in learner.gradient_booster.model.trees.iter().enumerate() {
        if tree.split_type {
            return Err(unsupported(format!("tree {number} splits on categories")));
        }
        append(tree, &mut trees)
            .ok_or_else(|| Error::malformed(place, "trees of nodes", format!("tree {number}")))?;
    }
    Ok(Estimator::Trees(trees))
}

/// Appends one tree, its nodes numbered anew from the root so that children come after their parents; `None` when its
/// lists don't fit or a node is reached twice.
fn append(tree: &Tree, trees: &mut Trees) -> Option<()> {
    let count = tree.left_children.len();
    let lengths = [
        tree.right_children.len(),
        tree.split_indices.len(),
        tree.split_conditions.len(),
    ];
    if count == 0 || lengths.iter().any(|l| *l != count) {
        return None;
    }
    trees.roots.push(u32::try_from(trees.value.len()).ok()?);
    let mut seen = vec![false; count];
    // Old numbers still to be added, each with the split whose child it is and the side.
    let mut pending: Vec<(usize, Option<(u32, bool)>)> = vec![(0, None)];
    while let Some((old, parent)) = pending.pop() {
        if std::mem::replace(seen.get_mut(old)?, true) {
            return None;
        }
        let (left, right) = (tree.left_children[old], tree.right_children[old]);
        let condition = tree.split_conditions[old];
        let new = if left == -1 {
            trees.push_leaf(condition.into())
        } else {
            let new = trees.push_split(tree.split_indices[old], below(condition));
            for (child, is_left) in [(right, false), (left, true)] {
                pending.push((usize::try_from(child).ok()?, Some((new, is_left))));
            }
            new
        };
        match parent {
            Some((parent, true)) => trees.left[parent as usize] = new,
            Some((parent, false)) => trees.right[parent as usize] = new,
            None => {}
        }
    }
    Some(())
}
