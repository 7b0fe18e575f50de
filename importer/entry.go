package importer

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"testing/fstest"

	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
)

// entry makes the config.yml with the node. If its form does not allow an addition, the user
// gets the lines to add.
func (r *run) entry(context.Context) error {
	if r.given != nil {
		return nil
	}
	file := manifests.ConfigFile(r.request.Environment)
	lines := entryLines(r)
	if r.known == nil {
		kind := "non-production"
		if r.request.Environment == "production" {
			kind = "production"
		}
		r.config = fmt.Appendf(nil, "environment:\n  name: %s\n  type: %s\nnodes:\n%s", r.request.Environment, kind, indented(lines, "  "))
	} else {
		before, err := fs.ReadFile(r.root.FS(), file)
		if err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
		if r.config = added(before, lines); r.config == nil || !acceptedFile(r, file) {
			r.result.Entry = indented(lines, "  ")
			return fault.New(fault.Place{File: file}, "add these lines to nodes, and import again:\n"+r.result.Entry, "the node cannot be added to this form of the file")
		}
	}
	r.result.Config = file
	return nil
}

// acceptedFile reports whether the new config.yml has the old nodes and the new one.
func acceptedFile(r *run, file string) bool {
	config, err := manifests.LoadConfig(fstest.MapFS{file: {Data: r.config, Mode: 0o444}}, r.request.Environment)
	if err != nil || len(config.Nodes) != len(r.known.Nodes)+1 {
		return false
	}
	entry, found := config.Node(r.request.Node)
	return found && entry.Stack == r.request.Flags.Stack
}

// entryLines gives the node's entry as YAML.
func entryLines(r *run) []string {
	flags := r.request.Flags
	lines := []string{"- name: " + quoted(r.request.Node)}
	if flags.Node != "" {
		lines = append(lines, "  context: "+quoted(flags.Node))
	}
	lines = append(lines, "  stack: "+quoted(flags.Stack))
	for _, one := range []struct {
		key      string
		standard []string
		names    []string
	}{
		{"compose_files", standardCompose(r), flags.Compose},
		{"node_files", []string{"node.env"}, flags.Nodes},
		{"project_files", standardProject(r), flags.Project},
	} {
		names := slices.Clone(one.names)
		for i, name := range names {
			if inside, err := r.inside(name); err == nil {
				names[i] = inside
			}
		}
		if len(names) == 0 || slices.Equal(names, one.standard) {
			continue
		}
		for i, name := range names {
			names[i] = quoted(name)
		}
		lines = append(lines, "  "+one.key+": ["+strings.Join(names, ", ")+"]")
	}
	return lines
}

// standardCompose gives the compose files of the folder in the order that counts without a list.
func standardCompose(r *run) []string {
	names := slices.DeleteFunc(slices.Collect(maps.Keys(r.plain)), func(name string) bool { return path.Dir(name) != "." })
	return manifests.ComposeOrder(names)
}

func standardProject(r *run) []string {
	var order []string
	for _, name := range []string{"project.env", "project_" + r.request.Node + ".env"} {
		if r.plain[name] != nil {
			order = append(order, name)
		}
	}
	return order
}

// quoted gives a text as a YAML scalar.
func quoted(text string) string {
	out, err := yaml.Marshal(text)
	if err != nil {
		return text
	}
	return strings.TrimSpace(string(out))
}

func indented(lines []string, by string) string {
	return by + strings.Join(lines, "\n"+by) + "\n"
}

// added gives a config.yml with an entry at the end of its nodes; nil if nodes is not a list of
// the form with one `-` a line.
func added(content []byte, lines []string) []byte {
	var document yaml.Node
	if yaml.Unmarshal(content, &document) != nil || len(document.Content) != 1 {
		return nil
	}
	top := document.Content[0]
	if top.Kind != yaml.MappingNode || top.Style&yaml.FlowStyle != 0 {
		return nil
	}
	at := slices.IndexFunc(top.Content, func(node *yaml.Node) bool { return node.Value == "nodes" && node.Column == top.Column })
	if at < 0 || at+1 >= len(top.Content) {
		return nil
	}
	list := top.Content[at+1]
	if list.Kind != yaml.SequenceNode || list.Style&yaml.FlowStyle != 0 || len(list.Content) == 0 {
		return nil
	}
	rows := bytes.SplitAfter(content, []byte("\n"))
	end := len(rows)
	if at+2 < len(top.Content) {
		end = top.Content[at+2].Line - 1
	}
	for end > 0 && blank(rows[end-1]) { // what stands before the next key belongs to it
		end--
	}
	entry := indented(lines, strings.Repeat(" ", max(cmp.Or(list.Column, 1)-1, 0)))
	before := bytes.Join(rows[:end], nil)
	if len(before) > 0 && before[len(before)-1] != '\n' {
		before = append(before, '\n')
	}
	return slices.Concat(before, []byte(entry), bytes.Join(rows[end:], nil))
}

// blank reports whether a line has neither a key nor a value.
func blank(line []byte) bool {
	line = bytes.TrimSpace(line)
	return len(line) == 0 || line[0] == '#'
}
