package desired

import (
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/lazyregexp"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// maxCompared limits the names that are compared with each other, and their length.
const maxCompared = 500

// loose is a variable that a stack sets and does not mention.
type loose struct {
	name  string
	fault *fault.Error
	typo  bool // likely; otherwise it is likely left over from a removed service
}

// unmentioned finds the SV_ and TAG_ variables that the node sets and nothing mentions, and gives
// what its files mention.
func unmentioned(node *manifests.Node, set *secrets.Set, stack *compose.Stack) (found []loose, mentioned func(string) bool) {
	places := map[string]fault.Place{}
	for name, variable := range node.Variables {
		places[name] = variable.Place
	}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(set.Versions())), set.SealedVersions()) {
		if file, found := set.VersionFile(name); found {
			places[name] = fault.Place{File: file}
		}
	}
	open := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(stack.Mentioned)) {
		prefix, rest := prefixed(name)
		if _, isSet := places[name]; !isSet && len(rest) <= maxCompared && len(open[prefix]) < maxCompared {
			open[prefix] = append(open[prefix], rest)
		}
	}
	settings := mentions(settings(node))
	mentioned = func(name string) bool { return stack.Mentioned[name] || settings[name] }
	for _, name := range slices.Sorted(maps.Keys(places)) {
		prefix, rest := prefixed(name)
		if prefix == "" || mentioned(name) {
			continue
		}
		near := ""
		if len(found) < maxCompared {
			near = fault.Nearest(rest, open[prefix])
		}
		if prefix == "SV_" && isTypo(rest, near) {
			found = append(found, loose{name, fault.New(places[name], "did you mean "+prefix+near+"?", "nothing mentions %s", name), true})
			continue
		}
		hint := "remove it"
		if near != "" {
			hint = "remove it; or did you mean " + prefix + near + "?"
		}
		found = append(found, loose{name, fault.New(places[name], hint, "nothing mentions %s", name), false})
	}
	return found, mentioned
}

// settle leaves out what the other stacks of a node know better: a variable of a file that they
// read too is not loose if one of them mentions it, or may. Of several findings at one place the
// one about a typo stays, or else the first.
func settle(looks []*look) {
	for i, one := range looks {
		one.loose = slices.DeleteFunc(one.loose, func(l loose) bool {
			return slices.ContainsFunc(looks, func(other *look) bool {
				if other == one || other.node == nil || !reads(other.node, l.fault.Place.File) {
					return false
				}
				if other.mentioned == nil || other.mentioned(l.name) {
					return true
				}
				return slices.ContainsFunc(other.loose, func(o loose) bool {
					return o.fault.Place == l.fault.Place && (o.typo && !l.typo || o.typo == l.typo && slices.Index(looks, other) < i)
				})
			})
		})
	}
}

// reads reports whether a stack reads the settings or secrets in a file.
func reads(node *manifests.Node, file string) bool {
	return slices.Contains(node.VariableFiles, file) || slices.Contains(node.Folders(), path.Dir(file))
}

// prefixed splits the name of a version or tag after its prefix. Other names have none.
func prefixed(name string) (prefix, rest string) {
	for _, prefix := range []string{"SV_", "TAG_"} {
		if rest, found := strings.CutPrefix(name, prefix); found {
			return prefix, rest
		}
	}
	return "", name
}

var digits = lazyregexp.New(`[0-9]+`)

// isTypo reports whether a name, without its prefix, is likely a typo of one that is
// mentioned and not set: at most a quarter of its letters differ, and not only its number.
func isTypo(name, near string) bool {
	return near != "" && fault.Distance(name, near) <= len(name)/4 && digits().ReplaceAllString(name, "") != digits().ReplaceAllString(near, "")
}

// settings gives the text of the files other than compose files that can mention variables.
func settings(node *manifests.Node) string {
	entry, _ := node.Config.Node(node.Name)
	environment := path.Join("environments", node.Environment)
	files := []string{path.Join(environment, "config.yml"), path.Join(environment, "common", "project.env"), "templates/project.env.template"}
	files = append(files, node.VariableFiles...)
	for _, folder := range node.Folders() {
		for _, name := range slices.Concat([]string{overrideFile, "project.env", "project_" + node.Name + ".env"}, entry.ProjectFiles) {
			files = append(files, path.Join(folder, name))
		}
	}
	var all strings.Builder
	for _, file := range files {
		data, _ := fs.ReadFile(node.FS, file) // most nodes do not have all
		all.Write(append(data, '\n'))
	}
	return all.String()
}

var mention = lazyregexp.New(`(?m)(?:\$\{?|env\.)([A-Za-z_]\w*)|^[ \t]*([A-Za-z_]\w*)[ \t\r]*$`)

// mentions gives the variables that a text of settings uses.
func mentions(text string) map[string]bool {
	all := map[string]bool{}
	for _, found := range mention().FindAllStringSubmatch(text, -1) {
		all[found[1]+found[2]] = true
	}
	return all
}
