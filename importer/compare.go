package importer

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing/fstest"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// compare renders the node as the agent will, and takes the files that its compose files name.
// The specs must be those of the directory.
func (r *run) compare(ctx context.Context) error {
	t := &tree{
		under: r.root.FS(), limits: r.request.Limits.OrDefault(), folder: r.folder,
		memory: fstest.MapFS{}, taken: map[string][]byte{}, stays: map[string]bool{}, take: r.referenced,
	}
	for name, data := range r.data {
		t.memory[path.Join(r.folder, name)] = &fstest.MapFile{Data: data, Mode: 0o444}
	}
	if r.config != nil {
		t.memory[manifests.ConfigFile(r.request.Environment)] = &fstest.MapFile{Data: r.config, Mode: 0o444}
	}
	stack, err := desired.Render(ctx, t, desired.Options{Environment: r.request.Environment, Node: r.request.Node, Sealed: true})
	if err := errors.Join(t.failed...); err != nil {
		return err
	}
	if err != nil {
		return fault.WithCode(fault.WithHint(fmt.Errorf("the node would not render: %w", err), cmp.Or(fault.Hint(err), "correct it in the directory, and import again")), fault.CodeFiles)
	}
	for name, data := range t.taken {
		r.plain[name], r.data[name] = data, data
	}
	for _, name := range slices.Sorted(maps.Keys(t.stays)) {
		r.warn(path.Join(r.folder, name), "remove it from the repository, if the node no longer needs it", "the directory does not have this file: it stays, and the node has it, too")
	}
	for _, one := range stack.Warnings {
		r.result.Warnings = append(r.result.Warnings, noteOf(one))
	}
	r.result.Changes = append(r.result.Changes, changes(r.read.Stack, stack)...)
	return nil
}

// changes names what differs between the specs of two stacks, without values.
func changes(before, after *compose.Stack) []string {
	var all []string
	add := func(kind string, before, after map[string]any) {
		names := slices.Collect(maps.Keys(before))
		names = append(names, slices.Collect(maps.Keys(after))...)
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			short := strings.TrimSpace(kind + " " + name)
			was, is := before[name], after[name]
			switch {
			case was == nil:
				all = append(all, short+" is new")
			case is == nil:
				all = append(all, short+" is missing")
			default:
				if fields := differing("", plainForm(was), plainForm(is)); len(fields) > 0 {
					all = append(all, short+" differs in "+strings.Join(fields[:min(len(fields), 5)], ", "))
				}
			}
		}
	}
	add("service", asAny(before.Services), asAny(after.Services))
	add("network", asAny(before.Networks), asAny(after.Networks))
	add("secret", secretSpecs(before), secretSpecs(after))
	add("config", configSpecs(before), configSpecs(after))
	for _, one := range [][2][]string{{before.ExternalNetworks, after.ExternalNetworks}, {before.ExternalSecrets, after.ExternalSecrets}, {before.ExternalConfigs, after.ExternalConfigs}} {
		if !slices.Equal(one[0], one[1]) {
			all = append(all, "the external objects differ")
		}
	}
	return all
}

func asAny[V any](all map[string]V) map[string]any {
	result := map[string]any{}
	for name, one := range all {
		result[name] = one
	}
	return result
}

func secretSpecs(stack *compose.Stack) map[string]any {
	all := map[string]any{}
	for _, one := range stack.Secrets {
		all[one.Spec.Name] = one.Spec
	}
	return all
}

func configSpecs(stack *compose.Stack) map[string]any {
	all := map[string]any{}
	for _, one := range stack.Configs {
		all[one.Spec.Name] = one.Spec
	}
	return all
}

// plainForm gives a spec as JSON has it, without the agent's labels.
func plainForm(spec any) any {
	text, err := json.Marshal(spec)
	var form any
	if err != nil || json.Unmarshal(text, &form) != nil {
		return nil
	}
	if top, ok := form.(map[string]any); ok {
		if labels, ok := top["Labels"].(map[string]any); ok {
			maps.DeleteFunc(labels, func(name string, _ any) bool { return strings.HasPrefix(name, "coin-agent.") })
		}
	}
	return form
}

// differing gives the paths at which two JSON values differ, sorted.
func differing(at string, a, b any) []string {
	first, isMap := a.(map[string]any)
	second, both := b.(map[string]any)
	if !isMap || !both {
		if reflect.DeepEqual(a, b) {
			return nil
		}
		return []string{strings.TrimPrefix(at, ".")}
	}
	keys := slices.Collect(maps.Keys(first))
	keys = append(keys, slices.Collect(maps.Keys(second))...)
	slices.Sort(keys)
	var all []string
	for _, key := range slices.Compact(keys) {
		all = append(all, differing(at+"."+key, first[key], second[key])...)
	}
	return all
}

// search looks for secrets in the files that are written as they are.
func (r *run) search(context.Context) error {
	files := fstest.MapFS{}
	for name, data := range r.plain {
		files[path.Join(r.folder, name)] = &fstest.MapFile{Data: data, Mode: 0o444}
	}
	scanned, err := secrets.Scan(files, nil)
	if err != nil {
		return err
	}
	found := scanned.Found
	for _, name := range slices.Sorted(maps.Keys(r.plain)) {
		values := valuesIn(r, name)
		r.result.Leaks = r.result.Leaks || len(values) > 0
		found = append(found, values...)
	}
	slices.SortStableFunc(found, func(a, b *fault.Error) int {
		return cmp.Or(strings.Compare(a.Place.File, b.Place.File), a.Place.Line-b.Place.Line)
	})
	for _, one := range found {
		one.Place.File = strings.TrimPrefix(one.Place.File, r.folder+"/")
		note := noteOf(one)
		note.Hint = "" // one for all of them
		r.result.Plaintext = append(r.result.Plaintext, note)
	}
	return nil
}

// valuesIn finds the values of secrets in a file that is written as it is.
func valuesIn(r *run, name string) []*fault.Error {
	var found []*fault.Error
	for _, values := range []map[string]secrets.Value{r.sealed, r.keyed} {
		for _, secret := range slices.Sorted(maps.Keys(values)) {
			if !values[secret].In(r.plain[name]) {
				continue
			}
			place := fault.Place{File: path.Join(r.folder, name)}
			for number, line := range bytes.Split(r.plain[name], []byte("\n")) {
				if values[secret].In(line) {
					place.Line = number + 1
					break
				}
			}
			found = append(found, fault.New(place, "", "the value of the secret %s is here in plaintext", strings.TrimSuffix(path.Base(secret), ".enc")))
		}
	}
	return found
}
