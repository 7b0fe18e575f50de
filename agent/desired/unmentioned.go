package desired

import (
	"errors"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// maxTypo is the number of letters by which a name that differs is taken for a typo.
const maxTypo = 2

// unmentioned finds the SV_ and TAG_ variables that the node sets and nothing mentions. A
// name that is like one that is mentioned and not set is likely a typo: that one keeps its
// default. Others are likely left over from a removed service.
func unmentioned(node *manifests.Node, set *secrets.Set, stack *compose.Stack) (likely, unlikely error) {
	places := map[string]fault.Place{}
	for name, variable := range node.Variables {
		places[name] = variable.Place
	}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(set.Versions())), set.SealedVersions()) {
		if file, found := set.VersionFile(name); found {
			places[name] = fault.Place{File: file}
		}
	}
	prefixed := func(name string) bool { return strings.HasPrefix(name, "SV_") || strings.HasPrefix(name, "TAG_") }
	var open []string
	for _, name := range slices.Sorted(maps.Keys(stack.Mentioned)) {
		if _, isSet := places[name]; prefixed(name) && !isSet {
			open = append(open, name)
		}
	}
	settings := settings(node)
	for _, name := range slices.Sorted(maps.Keys(places)) {
		if !prefixed(name) || stack.Mentioned[name] || mentions(settings, name) {
			continue
		}
		near := fault.Nearest(name, open)
		if near != "" && fault.Distance(name, near) <= maxTypo {
			likely = errors.Join(likely, fault.New(places[name], "did you mean "+near+"?", "nothing mentions %s", name))
			continue
		}
		hint := "remove it"
		if near != "" {
			hint = "remove it; or did you mean " + near + "?"
		}
		unlikely = errors.Join(unlikely, fault.New(places[name], hint, "nothing mentions %s", name))
	}
	return likely, unlikely
}

// settings gives the text of the files other than compose files that can mention variables.
func settings(node *manifests.Node) string {
	entry, _ := node.Config.Node(node.Name)
	environment := path.Join("environments", node.Environment)
	files := []string{path.Join(environment, "config.yml"), path.Join(environment, "common", "project.env"), "templates/project.env.template"}
	for _, name := range slices.Concat([]string{"node.env", "secrets.override.env", "project.env", "project_" + node.Name + ".env"}, entry.ProjectFiles) {
		files = append(files, path.Join(node.Dir, name))
	}
	var all strings.Builder
	for _, file := range files {
		data, _ := fs.ReadFile(node.FS, file) // most nodes do not have all
		all.Write(append(data, '\n'))
	}
	return all.String()
}

// mentions reports whether a text of settings uses a variable.
func mentions(text, name string) bool {
	name = regexp.QuoteMeta(name)
	return regexp.MustCompile(`(?m)(?:\$\{?|env\.)` + name + `\b|^[ \t]*` + name + `[ \t\r]*$`).MatchString(text)
}
