//! The ten families against the older software's own trainers, run on the same public rows.
//!
//! SOURCE: `ec2_train_reference.csv`: mean and spread of scikit-learn's and XGBoost's error over ten random parts.

use kepler_core::model::train::{TrainOptions, Trainer, TrainingData, Watch, cross_validate};
use kepler_core::model::{Component, FeatureGroup, Split};

use crate::shared::folder;

#[test]
fn errors_are_within_the_spread_of_the_older_software() {
    let Some(shared) = folder() else { return };
    let rows = TrainingData::read_csv(shared.join("data/training/ec2_node1_abs.csv")).unwrap();
    let mut rows = rows.with_group(FeatureGroup::Basic).unwrap();
    rows.targets
        .retain(|component, _| *component == Component::Package);
    let reference = kepler_core::Host::default()
        .text(shared.join("reference/ec2_train_reference.csv"))
        .unwrap();
    let mut compared = 0;
    for trainer in Trainer::ALL {
        let start = format!("AbsPower,Basic,1,{trainer},");
        let Some(line) = reference.lines().find(|l| l.starts_with(&start)) else {
            continue;
        };
        let figures: Vec<f64> = line[start.len()..]
            .split(',')
            .take(2)
            .map(|f| f.parse().unwrap())
            .collect();
        let validation = cross_validate(
            *trainer,
            &rows,
            Split::ShuffledFolds,
            &TrainOptions::default(),
            &mut Watch::none(),
        );
        let mae = validation
            .unwrap()
            .error(Component::Package, &rows)
            .unwrap()
            .mae;
        let off = (mae - figures[0]) / figures[1];
        // The plane is solved exactly here, where the older software stops on its way there.
        let better = *trainer == Trainer::Sgd;
        assert!(
            off < 2.0 && (better || off > -2.0),
            "{trainer}: {mae} W, {off} spreads from {} W",
            figures[0]
        );
        compared += 1;
    }
    assert_eq!(compared, 9, "all but the logistic curve, which fails there");
}
