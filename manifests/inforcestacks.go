package manifests

import "slices"

// waitsOf lists all stacks of a node that one waits for, also through others.
func waitsOf(c *Config, node, stack string) (all []string) {
	waiting := map[string]bool{stack: true}
	for _, one := range slices.Backward(c.StacksOf(node)) { // each waits for earlier ones only
		if !waiting[one.Name] {
			continue
		}
		for _, earlier := range one.WaitsFor {
			if !waiting[earlier] {
				waiting[earlier], all = true, append(all, earlier)
			}
		}
	}
	return all
}

// stacks notes which stacks of the node would no longer wait for another one of the list. An order
// that the commit turns round is not kept: the stacks would wait for each other.
func (f *fold) stacks() {
	var names []string
	for _, one := range f.own.StacksOf(f.node) {
		names = append(names, one.Name)
	}
	for _, judge := range f.judge.StacksOf(f.node) {
		if !slices.Contains(names, judge.Name) {
			continue
		}
		for _, earlier := range minus(judge.WaitsFor, waitsOf(f.own, f.node, judge.Name)) {
			switch {
			case !slices.Contains(names, earlier):
			case slices.Contains(waitsOf(f.own, f.node, earlier), judge.Name):
				f.say("has the stack %s go before %s", judge.Name, earlier)
			default:
				f.say("no longer has the stack %s wait for %s", judge.Name, earlier)
				f.freed = append(f.freed, Freed{Stack: judge.Name, From: earlier})
			}
		}
	}
}
