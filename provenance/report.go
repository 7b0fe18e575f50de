package provenance

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

const day = 24 * time.Hour

// Request says what is to be told.
type Request struct {
	Dir         string   // the folder of environments/, in a git working copy
	Environment string   //
	Nodes       []string // only these; none: all of the environment
	Secret      string   // only this; "": all that the nodes have now
	Keys        *secrets.Keyring
	Now         time.Time
}

// Trace reads the history of a working copy, from its last commit back.
func Trace(ctx context.Context, request Request) (*Report, error) {
	g, err := readGraph(request.Dir)
	if err != nil {
		return nil, err
	}
	run := make([]byte, 32)
	if _, err := rand.Read(run); err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	defer clear(run)
	store := newStore(g)
	config, err := manifests.LoadConfig(store.at(g.head), request.Environment)
	if err != nil {
		return nil, err
	}
	t := &tracer{request: request, config: config, reader: newReader(store, request.Keys, run), report: &Report{
		Environment: request.Environment, Branch: g.branch, Commit: g.head.Hash, Commits: len(g.all), Since: g.since(),
		Secrets: []*Secret{}, tracks: map[string]*track{}, graph: g,
	}}
	if err := t.nodes(ctx); err != nil {
		return nil, err
	}
	if err := t.checkFound(); err != nil {
		return nil, err
	}
	t.note()
	return t.report, nil
}

// tracer makes one report.
type tracer struct {
	request Request
	config  *manifests.Config
	reader  *reader
	report  *Report
	known   []string // the secrets that the nodes have
}

func (t *tracer) nodes(ctx context.Context) error {
	var all []string
	for _, node := range t.config.Nodes {
		all = append(all, node.Name)
	}
	for _, name := range t.request.Nodes {
		if !slices.Contains(all, name) {
			return fault.New(fault.Place{}, "its nodes are "+strings.Join(all, ", "), "node %q is not one of environment %s", name, t.request.Environment)
		}
	}
	for _, name := range all {
		if len(t.request.Nodes) > 0 && !slices.Contains(t.request.Nodes, name) {
			continue
		}
		dir := path.Join("environments", t.request.Environment, "nodes", name)
		track, err := t.reader.follow(ctx, name, dir)
		if err != nil {
			return err
		}
		t.report.tracks[name] = track
		t.secrets(track)
	}
	slices.SortStableFunc(t.report.Secrets, func(a, b *Secret) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// secrets adds the secrets of one node.
func (t *tracer) secrets(track *track) {
	ever := track.ever(t.report.graph)
	for _, key := range slices.Sorted(maps.Keys(ever)) {
		now := track.reading(t.report.graph.head, key)
		if now != nil {
			t.known = append(t.known, key)
		}
		wanted := now != nil
		if t.request.Secret != "" {
			wanted = called(key, ever[key], t.request.Secret)
		}
		if wanted {
			t.report.Secrets = append(t.report.Secrets, t.secret(track, key, now))
		}
	}
}

// ever gives the secrets that a node has or had, and the variable in their names.
func (t *track) ever(g *graph) map[string]string {
	found := map[string]string{}
	var last *nodeState
	for _, one := range g.all {
		state := t.states[one]
		if state == nil || state == last {
			continue
		}
		last = state
		for key, reading := range state.readings {
			found[key] = reading.variable
		}
	}
	return found
}

func (t *tracer) secret(track *track, key string, now *reading) *Secret {
	g := t.report.graph
	secret := &Secret{Name: key, Node: track.node, Removed: now == nil, Entries: track.entries(g, key)}
	secret.Warnings = track.warnings(g, key, secret.Entries)
	if now == nil {
		return secret
	}
	secret.Variable, secret.Version, secret.Object, secret.External = now.variable, now.text, now.object, now.external
	for _, entry := range slices.Backward(secret.Entries) {
		if entry.reading.same(now) {
			entry.Current = true
			break
		}
	}
	secret.RotationDays = int(t.config.RotationPeriod(key) / day)
	if from := origin(secret.Entries, now); from != nil {
		age := max(t.request.Now.Sub(from.Commit.Authored), 0)
		secret.Rotated = &Rotation{
			By: from.Commit.Author, Email: from.Commit.AuthorEmail, At: from.Commit.Authored, Commit: from.Commit.Hash,
			AgeDays: int(age / day), AtLeast: from.Change == Earlier,
		}
		if over := age - t.config.RotationPeriod(key); secret.RotationDays > 0 && over > 0 {
			secret.OverdueDays = int(over/day) + 1
		}
	}
	return secret
}

func (t *tracer) checkFound() error {
	if t.request.Secret == "" || len(t.report.Secrets) > 0 {
		return nil
	}
	slices.Sort(t.known)
	return fault.New(fault.Place{}, "the environment's secrets are "+strings.Join(slices.Compact(t.known), ", "),
		"no node of %s has, or had, a secret %q", t.request.Environment, t.request.Secret)
}

// note says what keeps the report from being complete.
func (t *tracer) note() {
	if ends := t.report.graph.ends(); len(ends) > 0 {
		t.report.Shallow = true
		t.report.Warnings = append(t.report.Warnings, fmt.Sprintf(
			"the clone is shallow: its history ends at %s of %s, and what came before is not known; complete it: git fetch --unshallow",
			ends[0].Hash[:10], ends[0].Committed.Format(time.DateOnly)))
	}
	sealed := slices.ContainsFunc(t.report.Secrets, func(s *Secret) bool {
		return slices.ContainsFunc(s.Entries, func(e *Entry) bool { return e.Sealed })
	})
	switch {
	case sealed && t.request.Keys == nil:
		t.report.Warnings = append(t.report.Warnings, "some versions are encrypted: name the key files with --age-key-files or --pgp-key-files to see them")
	case sealed:
		t.report.Warnings = append(t.report.Warnings, "some versions are encrypted for other keys than those given")
	}
}

// warnings tells what an auditor should know of how a secret was changed.
func (t *track) warnings(g *graph, name string, entries []*Entry) []Warning {
	var all []Warning
	add := func(c *commit, format string, args ...any) {
		all = append(all, Warning{Commit: c.Hash, Author: c.Author, At: c.Authored, Text: fmt.Sprintf(format, args...)})
	}
	for _, entry := range entries {
		if entry.reading.plain() && !slices.ContainsFunc(entry.commit.parents, func(c *commit) bool { return t.reading(c, name).plain() }) {
			add(entry.commit, "its value was committed in plaintext, and git keeps it")
		}
	}
	seen := map[string]bool{}
	for i, one := range g.main {
		now := t.reading(one, name)
		if now == nil {
			continue
		}
		fresh := !seen[now.text+"\x00"+now.sealed]
		seen[now.text+"\x00"+now.sealed] = true
		if i == 0 || t.states[g.main[i-1]] == t.states[one] {
			continue
		}
		before := t.reading(g.main[i-1], name)
		if before == nil || now.external || before.external {
			continue
		}
		by := one
		for _, entry := range entries {
			if entry.commit.landed == one {
				by = entry.commit
			}
		}
		if text := doubt(now, before, fresh); text != "" {
			add(by, "%s", text)
		}
	}
	return all
}

// doubt says what is odd about a change on the branch; "" for nothing.
func doubt(now, before *reading, fresh bool) string {
	value, kept := now.newValue(before), now.sameVersion(before)
	version := now.text
	if now.sealed != "" {
		version = "that is encrypted"
	} else if version == "" {
		version = "(none)"
	}
	switch {
	case now.text == autoVersion && kept:
	case value == Yes && kept && before.file != nil:
		return fmt.Sprintf("its value was changed without raising the version %s, which a sync refuses", version)
	case value == Unknown && kept:
		return fmt.Sprintf("it was encrypted anew under the version %s: only a key tells whether the value is another", version)
	case value == No && !kept && fresh && now.file != nil:
		return fmt.Sprintf("the version was raised to %s, but the value stayed", version)
	}
	return ""
}
