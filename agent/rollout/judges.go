package rollout

import (
	"fmt"
	"io/fs"
	"slices"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/manifests"
)

// judges gives the configurations that the next commit is judged by: the node's floor, and
// each config.yml that is on record with the deployed good state, which may be nil: a stack that
// a commit adds to a node is judged by what is on record of the node's other stacks. If one of
// them cannot be read, the judges say so, and a person must approve. A state of an earlier
// version of the agent may have none.
func (p *Parts) judges(deployed *record.GoodState) manifests.Judges {
	judges := manifests.Judges{Floor: p.Policy().Gates(), Node: p.Node.Node, At: time.Now()}
	states := []*record.GoodState{deployed}
	if deployed == nil && p.Others != nil {
		states = p.Others()
	}
	for _, state := range states {
		p.judge(&judges, state)
	}
	return judges
}

// judge adds each config.yml that is on record with a good state, which may be nil.
func (p *Parts) judge(judges *manifests.Judges, deployed *record.GoodState) {
	if deployed == nil {
		return
	}
	name := manifests.ConfigFile(p.Node.Environment)
	for _, sum := range rulesOf(deployed, name) {
		files, err := p.Files.Files(&record.GoodState{Files: map[string]record.File{name: {Sum: sum}}})
		if err == nil {
			var config *manifests.Config
			if config, err = manifests.RecallConfig(files, p.Node.Environment); err == nil {
				judges.Good = append(judges.Good, config)
				continue
			}
		}
		judges.Lost = true
		p.Log.Error("cannot read a recorded config.yml that the next commit is judged by", "sync", deployed.SyncID, "error", err)
	}
}

// rulesOf lists the sums of each config.yml that is on record with a good state. One that an
// earlier version of the agent recorded has it among its files only.
func rulesOf(good *record.GoodState, name string) []string {
	sums := slices.Clone(good.Rules)
	if own := good.Files[name].Sum; own != "" && !slices.Contains(sums, own) {
		sums = append(sums, own)
	}
	return sums
}

// inherit makes the next commit after a rollback to a state be judged by the rules of that
// state and of the one that is left: a rollback lifts no gate.
func inherit(to, left *record.GoodState, name string) []string {
	sums := rulesOf(to, name)
	if left == nil {
		return sums
	}
	for _, sum := range rulesOf(left, name) {
		if !slices.Contains(sums, sum) {
			sums = append(sums, sum)
		}
	}
	return sums
}

// noteRules records the commit's own config.yml with its good state.
func noteRules(good *record.GoodState, node *manifests.Node) error {
	content, err := fs.ReadFile(node.FS, manifests.ConfigFile(node.Environment))
	if err != nil {
		return fmt.Errorf("record config.yml: %w", err)
	}
	good.KeepRules(content)
	return nil
}

// inForce gives the config.yml that holds for the deployed good state itself: its own, and
// the node's floor; nil if it cannot be read.
func (r *Rollouts) inForce(applied *record.GoodState) *manifests.Config {
	config := r.configOf(applied)
	if config == nil {
		return nil
	}
	return manifests.Judges{Floor: r.use.Policy().Gates(), Node: r.use.Node.Node, At: time.Now()}.InForce(config)
}
