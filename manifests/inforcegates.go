package manifests

import (
	"slices"
	"strings"

	"github.com/docker/go-units"
)

// release keeps the gates of a release: a check that the judge asks for stays, with bounds
// that are no wider.
func (f *fold) release() {
	const at = "deployment.gates."
	into, own, judge := f.into.gates, f.own.ReleaseGates(), f.judge.ReleaseGates()
	if pattern := judge.Tag.Pattern; pattern != "" {
		if !slices.Contains(into.Tag.all(), pattern) {
			into.Tag.Also = append(slices.Clone(into.Tag.Also), pattern)
		}
		f.sayIf(own.Tag.Pattern == "", "accepts any TAG")
		f.sayIf(own.Tag.Pattern != "" && own.Tag.Pattern != pattern, "changes the pattern of TAG from %s to %s", pattern, own.Tag.Pattern)
	}
	f.keep(&into.Images, judge.Images, own.Images, "no longer asks the registry for the images")
	f.keep(&into.Database, judge.Database, own.Database, "no longer asks the database before a rollout")
	if judge.Database && f.into.Database.Host == "" {
		f.into.Database = f.judge.Database
	}
	if f.says(at + "preflight") {
		f.keep(&into.Preflight, judge.Preflight, own.Preflight, "turns the preflight off")
	}
	if judge.Vulnerabilities.Asked {
		f.vulnerabilities(&into.Vulnerabilities, own.Vulnerabilities, judge.Vulnerabilities)
	}
	if f.says(at+"disk.min_free") && judge.Disk.Bytes() > own.Disk.Bytes() {
		if judge.Disk.Bytes() > into.Disk.Bytes() {
			into.Disk.MinFree = judge.Disk.MinFree
		}
		f.say("lowers the free disk space from %s to %s", size(judge.Disk), size(own.Disk))
	}
	if f.says(at+"disk.path") && judge.Disk.Bytes() > 0 && judge.Disk.Path != own.Disk.Path {
		into.Disk.Path = judge.Disk.Path
		f.say("changes the folder whose free disk space is checked")
	}
}

func (f *fold) keep(into *bool, judge, own bool, loosened string) {
	if judge {
		*into = true
		f.sayIf(!own, "%s", loosened)
	}
}

func size(gate DiskGate) string { return units.HumanSize(float64(gate.Bytes())) }

// vulnerabilities keeps the Harbor that is asked, what blocks, and that an image is excepted
// only where each judge excepts it.
func (f *fold) vulnerabilities(into *VulnerabilityGate, own, judge VulnerabilityGate) {
	const at = "deployment.gates.vulnerabilities."
	if !own.Asked {
		f.say("no longer asks Harbor for vulnerabilities")
		if !into.Asked {
			*into = judge
			return
		}
	}
	loose := own.Asked // otherwise that is said already
	if harmless(judge) < harmless(*into) {
		into.Severity = judge.Severity
	}
	f.sayIf(loose && harmless(judge) < harmless(own), "raises the severity that blocks from %s to %s", judge.Severity, own.Severity)
	if f.says(at+"on_no_answer") && judge.OnNoAnswer == NoAnswerBlock {
		into.OnNoAnswer = NoAnswerBlock
		f.sayIf(loose && own.OnNoAnswer != NoAnswerBlock, "continues when Harbor does not answer")
	}
	if f.says(at + "except") {
		into.Only = append(slices.Clone(into.Only), judge.Except)
		added := minus(own.Except, judge.Except)
		f.sayIf(loose && len(added) > 0, "excepts %s from the check for vulnerabilities", strings.Join(added, ", "))
	}
	if f.says(at+"registry") && (judge.Registry != own.Registry || judge.CAFile != own.CAFile) {
		into.Registry, into.UserFile, into.TokenFile, into.CAFile = judge.Registry, judge.UserFile, judge.TokenFile, judge.CAFile
		f.sayIf(loose, "changes the Harbor that is asked for vulnerabilities")
	}
}

// harmless gives a number for the severities that a gate lets pass: the lower, the stricter.
func harmless(gate VulnerabilityGate) int {
	return slices.Index([]string{"Low", "Medium", "High", "Critical", "none"}, gate.Severity)
}

// order keeps the nodes that this node waits for. A judge that orders this node gives the
// whole order: with an order that is made of two, nodes would wait for each other.
func (f *fold) order() {
	own, judge := f.own, f.judge
	f.lifted = append(f.lifted, minus(judge.Before(f.node), append(own.Before(f.node), f.lifted...))...)
	f.people(true, minus(judge.Before(f.node), own.Before(f.node)), "no longer waits for %s")
	f.people(true, minus(judge.Others(f.node), own.Others(f.node)), "leaves the group of %s")
	_, known := judge.Node(f.node)
	orders := judge.Deployment.Strategy == Sequential || judge.Deployment.Strategy == BlueGreen
	if !known || !orders {
		return
	}
	rules := judge.Deployment.BlueGreen
	if old, declared := rules, own.Deployment.BlueGreen; judge.Deployment.Strategy == BlueGreen && own.Deployment.Strategy == BlueGreen {
		rules = BlueGreenRules{Soak: max(old.Soak, declared.Soak), Approval: old.Approval || declared.Approval}
		f.sayIf(declared.Soak < old.Soak, "shortens the soak time of the secondaries from %s to %s", old.Soak, declared.Soak)
		f.sayIf(old.Approval && !declared.Approval, "removes the approval after the secondaries")
	}
	into := &f.into.Deployment
	into.Strategy, into.BlueGreen = judge.Deployment.Strategy, rules
	into.Order = joined(judge.Order(), own.Order())
	f.into.Nodes = slices.Clone(own.Nodes)
	for _, node := range judge.Nodes {
		i := slices.IndexFunc(f.into.Nodes, func(one NodeConfig) bool { return one.Name == node.Name })
		if i < 0 {
			f.into.Nodes = append(f.into.Nodes, node)
			continue
		}
		f.into.Nodes[i].Role = node.Role
	}
}

// joined gives the order of the judge with the nodes that only the commit has. They are where
// the commit has them, or at the end if it changes the order of the others.
func joined(judge, own []string) []string {
	added := minus(own, judge)
	if !slices.Equal(minus(own, added), minus(judge, minus(judge, own))) {
		return slices.Concat(judge, added)
	}
	order := slices.Clone(own)
	for i, name := range judge {
		if slices.Contains(own, name) {
			continue
		}
		at := 0
		if i > 0 {
			at = slices.Index(order, judge[i-1]) + 1
		}
		order = slices.Insert(order, at, name)
	}
	return order
}
