package manifests

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Judges are the configurations that a commit is judged by, beside its own config.yml. For
// each key of a gate the strictest value holds, so no commit lifts a gate that holds it.
// Once the commit is the last good revision, its own config.yml judges the next one.
type Judges struct {
	Floor *Config   // of the node's agent.yml; nil: none
	Good  []*Config // config.yml of the last good revision, and of those that a rollback has left since
	Lost  bool      // a config.yml of the last good revision cannot be read: an approval is required
	Node  string
	At    time.Time // at which freezes are compared
}

// InForce gives the config.yml that holds for a commit. Keys that belong to no gate are the
// commit's own.
func (j Judges) InForce(commit *Config) *Config {
	c, gates := *commit, commit.ReleaseGates()
	c.Declared, c.Loosens, c.Freed, c.approvals, c.gates = commit, nil, nil, commit.Approvals(), &gates
	f := &fold{node: j.Node, at: j.At, into: &c, own: commit}
	if j.Lost {
		c.approvals = append(slices.Clone(c.approvals), Approval{Required: true, Minimum: 1})
		f.say("is judged without the config.yml of the last good revision, which cannot be read")
	}
	for _, good := range j.Good {
		f.judge = good
		f.all()
		f.order()
		f.stacks()
	}
	c.Loosens, c.Freed = f.loosens, f.freed
	if j.Floor != nil {
		f.judge, f.floor = j.Floor, true
		f.all()
		c.after = j.Floor.Before(j.Node)
	}
	c.Lifted = slices.DeleteFunc(f.lifted, func(name string) bool { return slices.Contains(c.after, name) })
	return &c
}

// Below says where the config.yml of a commit is looser than the node's floor, which holds
// all the same, in words that follow "config.yml".
func (j Judges) Below(commit *Config) []string {
	if j.Floor == nil {
		return nil
	}
	c, gates := *commit, commit.ReleaseGates()
	c.approvals, c.gates = commit.Approvals(), &gates
	f := &fold{node: j.Node, at: j.At, into: &c, own: commit, judge: j.Floor, floor: true}
	f.all()
	return f.loosens
}

// fold makes a config in force stricter by one judge after the other.
type fold struct {
	node      string
	at        time.Time
	into, own *Config
	judge     *Config
	floor     bool // judge is the node's floor, which is silent about the keys that it does not set

	loosens, lifted []string
	freed           []Freed
}

// all makes everything but the order as strict as the judge has it.
func (f *fold) all() {
	f.approvals(f.judge.Approvals())
	f.freezes()
	deployment, own := &f.into.Deployment, f.own.Deployment
	if f.says("deployment.auto_deploy") && !f.judge.Deployment.AutoDeploy {
		deployment.AutoDeploy = false
		f.sayIf(own.AutoDeploy, "turns auto_deploy on")
	}
	production := f.judge.Environment.Type == Production
	if (f.says("allow_plaintext_secrets") || production) && !f.judge.AllowPlaintextSecrets {
		f.into.AllowPlaintextSecrets = false
		f.sayIf(f.own.AllowPlaintextSecrets, "allows plaintext secrets")
	}
	if !f.floor && f.judge.Images.Missing != MissingWarn {
		f.into.Images.Missing = f.judge.Images.Missing
		f.sayIf(f.own.Images.Missing == MissingWarn, "continues when an image is missing")
	}
	f.sayIf(production && f.own.Environment.Type != Production, "changes the type of the environment from production to %s", f.own.Environment.Type)
	f.release()
	f.rollback()
	f.migrations()
}

// says reports whether the judge says something about a key. The last good revision says
// it of every key, if only by the default.
func (f *fold) says(key string) bool { return !f.floor || f.judge.set(key) }

// say notes what the commit loosens, once.
func (f *fold) say(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(f.loosens, text) {
		f.loosens = append(f.loosens, text)
	}
}

func (f *fold) sayIf(loosened bool, format string, args ...any) {
	if loosened {
		f.say(format, args...)
	}
}

// approvals demands the approvals of the judge, beside all others: who may approve, and how
// many must, is what the judge says of it.
func (f *fold) approvals(asked []Approval) {
	for _, judge := range asked {
		if !slices.ContainsFunc(f.into.approvals, func(one Approval) bool { return reflect.DeepEqual(one, judge) }) {
			f.into.approvals = slices.Insert(slices.Clone(f.into.approvals), 0, judge) // what is asked for by others is named first
		}
		own := Approval{}
		if declared := f.own.Approvals(); len(declared) > 0 {
			own = declared[0]
		}
		f.sayIf(own.Minimum < judge.Minimum, "lowers approvals from %d to %d", judge.Minimum, own.Minimum)
		if own.Minimum > 0 {
			allowed, _ := judge.Users()
			users, _ := own.Users()
			f.sayIf(len(judge.Approvers) > 0 && len(own.Approvers) == 0, "lets every user approve")
			f.people(len(judge.Approvers) > 0, minus(users, allowed), "lets %s approve")
		}
		if !judge.ChangeAdvisoryBoard {
			continue
		}
		f.sayIf(!own.ChangeAdvisoryBoard, "removes the approval of the change advisory board")
		if own.ChangeAdvisoryBoard {
			members, _ := judge.BoardUsers()
			users, _ := own.BoardUsers()
			f.sayIf(own.BoardLabel() != "" && own.BoardLabel() != judge.BoardLabel(), "accepts the label %q for the change advisory board", own.BoardLabel())
			f.people(true, minus(users, members), "lets %s approve for the change advisory board")
		}
	}
}

func (f *fold) people(restricted bool, added []string, format string) {
	f.sayIf(restricted && len(added) > 0, format, strings.Join(added, ", "))
}

// freezes adds the freezes of the judge. A freeze of another node, or one that is over, is
// not missed.
func (f *fold) freezes() {
	for _, judge := range f.judge.Freeze {
		if !slices.ContainsFunc(f.into.Freeze, func(one Freeze) bool { return reflect.DeepEqual(one, judge) }) {
			f.into.Freeze = append(slices.Clone(f.into.Freeze), judge)
		}
		if len(judge.Nodes) > 0 && !slices.Contains(judge.Nodes, f.node) || judge.over(f.at) {
			continue
		}
		if slices.ContainsFunc(f.own.Freeze, func(own Freeze) bool { return own.covers(judge, f.node) }) {
			continue
		}
		same := func(own Freeze) bool { return own.Name == judge.Name }
		verb := "removes"
		if slices.ContainsFunc(f.own.Freeze, same) {
			verb = "shortens"
		}
		f.say("%s the freeze %s", verb, judge.Name)
	}
}

// rollback keeps whether rollbacks are allowed, automatic rollbacks, and the soak time.
func (f *fold) rollback() {
	const at = "deployment.rollback."
	into, own, judge := &f.into.Deployment.Rollback, f.own.Deployment.Rollback, f.judge.Deployment.Rollback
	if f.says(at+"enabled") && judge.Enabled != own.Enabled {
		into.Enabled = judge.Enabled
		f.sayIf(own.Enabled, "allows rollbacks")
		f.sayIf(judge.Enabled, "forbids rollbacks")
	}
	if judge.Automatic {
		into.Automatic = true
		f.sayIf(!own.Automatic, "turns automatic rollbacks off")
	}
	if f.says(at+"soak") && judge.Soak > own.Soak {
		into.Soak = max(into.Soak, judge.Soak)
		f.say("shortens the soak time from %s to %s", judge.Soak, own.Soak)
	}
}

// migrations keeps the migration check on, and its table.
func (f *fold) migrations() {
	into, own, judge := &f.into.Deployment.MigrationCheck, f.own.Deployment.MigrationCheck, f.judge.Deployment.MigrationCheck
	switch {
	case !judge.Enabled:
	case f.floor:
		into.Enabled = true
	case !own.Enabled:
		*into = judge
		if f.own.Database.Host == "" {
			f.into.Database = f.judge.Database
		}
		f.say("turns the migration check off")
	case own.Table != judge.Table || own.Column != judge.Column:
		into.Table, into.Column = judge.Table, judge.Column
		f.say("changes the table of the migration check from %s.%s to %s.%s", judge.Table, judge.Column, own.Table, own.Column)
	}
}

// minus lists the texts of all that are not in without.
func minus(all, without []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(one string) bool { return slices.Contains(without, one) })
}
