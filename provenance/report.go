package provenance

import (
	"context"
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

// Request says what to report.
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
	h, err := readHistory(request.Dir, request.Keys)
	if err != nil {
		return nil, err
	}
	defer h.wipe()
	head, err := h.at(h.head)
	if err != nil {
		return nil, err
	}
	config, err := manifests.LoadConfig(head.FS, request.Environment)
	if err != nil {
		return nil, err
	}
	for _, name := range request.Nodes {
		if _, ok := config.Node(name); !ok {
			return nil, fault.New(fault.Place{}, "name one of its nodes: "+strings.Join(config.Order(), ", "), "node %q is not in environment %s", name, request.Environment)
		}
	}
	report := &Report{
		Environment: request.Environment, Branch: h.branch, Commit: h.head.info.Hash, Commits: len(h.all), Secrets: []*Secret{},
		Since:  h.since(),
		tracks: map[string]*track{}, history: h,
	}
	present := map[string]bool{}
	for _, node := range config.Nodes {
		if len(request.Nodes) > 0 && !slices.Contains(request.Nodes, node.Name) {
			continue
		}
		track, err := h.follow(ctx, node.Name, path.Join("environments", request.Environment, "nodes", node.Name))
		if err != nil {
			return nil, err
		}
		report.tracks[node.Name] = track
		for key := range track.readings[h.head] {
			present[key] = true
		}
		for _, key := range track.keys(request.Secret) {
			report.Secrets = append(report.Secrets, track.secret(key, config.RotationPeriod(path.Base(key)), request.Now))
		}
	}
	if request.Secret != "" && len(report.Secrets) == 0 {
		return nil, fault.New(fault.Place{}, "name one of the environment's secrets: "+strings.Join(slices.Sorted(maps.Keys(present)), ", "),
			"the secret %q is not on any node of %s and never was", request.Secret, request.Environment)
	}
	slices.SortStableFunc(report.Secrets, func(a, b *Secret) int { return strings.Compare(a.Name, b.Name) })
	report.note(request.Keys != nil)
	return report, nil
}

// keys gives the secrets to report: those that the node has now, or those that are
// called name and that it has or had.
func (t *track) keys(name string) []string {
	if name == "" {
		return slices.Collect(maps.Keys(t.readings[t.history.head]))
	}
	found := map[string]bool{}
	for _, readings := range t.readings {
		for key, one := range readings {
			if name == key || name == path.Base(key) || strings.TrimPrefix(one.variable, versionPrefix) == strings.TrimPrefix(name, versionPrefix) {
				found[key] = true
			}
		}
	}
	return slices.Collect(maps.Keys(found))
}

// secret reports one secret of the node.
func (t *track) secret(key string, period time.Duration, today time.Time) *Secret {
	now := t.readings[t.history.head][key]
	secret := &Secret{Name: key, Node: t.node, Removed: now == nil, Entries: t.entries(key)}
	secret.Warnings = t.warnings(key, secret.Entries)
	if now == nil {
		return secret
	}
	secret.Variable, secret.Version, secret.Object, secret.External = now.variable, now.version, now.object, now.external
	secret.Users = now.users
	if now.vault != nil {
		secret.VaultPath = now.vault.Path
	}
	for _, entry := range slices.Backward(secret.Entries) {
		if entry.Current = entry.reading.same(now); entry.Current {
			break
		}
	}
	secret.RotationDays = int(period / day)
	if from := origin(secret.Entries, now); from != nil {
		age := max(today.Sub(from.Commit.Authored), 0)
		if from.Commit.Authored.IsZero() {
			age = 0 // the commit says no time that can be
		}
		secret.Rotated = &Rotation{
			By: from.Commit.Author, Email: from.Commit.AuthorEmail, At: from.Commit.Authored, Commit: from.Commit.Hash,
			AgeDays: int(age / day), AtLeast: from.Change == Earlier,
		}
		if secret.RotationDays > 0 && age > period {
			secret.OverdueDays = int((age-period)/day) + 1
		}
	}
	return secret
}

// ByName gives the secrets of all nodes for each name.
func (r *Report) ByName() [][]*Secret {
	var all [][]*Secret
	for i, one := range r.Secrets {
		if i == 0 || one.Name != r.Secrets[i-1].Name {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], one)
	}
	return all
}

// note says why the report is not complete.
func (r *Report) note(keys bool) {
	if at := slices.IndexFunc(r.history.all, func(c *commit) bool { return c.cut }); at >= 0 {
		end := r.history.all[at]
		r.Shallow = true
		r.Warnings = append(r.Warnings, fmt.Sprintf(
			"the clone is shallow: its history ends at commit %s of %s, and earlier changes are not known; run: git fetch --unshallow",
			end.info.Hash[:10], end.info.Committed.Format(time.DateOnly)))
	}
	hint := "some versions are encrypted; to see them, name the key files with --age-key-files or --pgp-key-files"
	if keys {
		hint = "some versions are encrypted, and the given keys do not open them"
	}
	for _, secret := range r.Secrets {
		if slices.ContainsFunc(secret.Entries, func(e *Entry) bool { return e.Sealed }) {
			r.Warnings = append(r.Warnings, hint)
			return
		}
	}
}
