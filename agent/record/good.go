package record

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"slices"
	"time"
)

// KeepGood bounds how many good states are recorded, whatever config.yml says.
const KeepGood = 50

// GoodState is the specs of a revision that was applied and verified, with what a rollback
// needs to deploy them again.
type GoodState struct {
	SyncID    uint64    `json:"sync_id"`
	Commit    string    `json:"commit"`
	Release   string    `json:"release,omitempty"`
	At        time.Time `json:"at"`
	StackName string    `json:"stack"`
	Owner     string    `json:"owner"`
	Drift     string    `json:"drift"`   // config.yml's drift: report or correct
	Resolve   string    `json:"resolve"` // config.yml's images.resolve

	Secrets   []Object        `json:"secrets,omitempty"` // sorted by name
	Configs   []Object        `json:"configs,omitempty"`
	Vault     []VaultRead     `json:"vault,omitempty"` // the versions of secrets that are in Vault, by path
	Retention Retention       `json:"retention,omitzero"`
	Freezes   json.RawMessage `json:"freezes,omitempty"` // config.yml's freeze
	Ignored   json.RawMessage `json:"ignored,omitempty"` // the fields of services that another process may change: drift_ignore

	// Migration is the highest ID of the database's migrations when the state was last
	// verified; nil when config.yml has no migration_check.
	Migration *int64 `json:"migration,omitempty"`
	// Contents are the contents of Files that are still to be saved, by their sum.
	Contents map[string][]byte `json:"-"`

	// Rules are the sums of each config.yml that the next commit is judged by: that of the
	// state, and those of the states that a rollback to it has left.
	Rules []string `json:"rules,omitempty"`

	// Approved is the newest commit up to which all commits had their approvals, where it is
	// not Commit: a later one changed nothing in Swarm, and passed without an approval.
	Approved string `json:"approved,omitempty"`

	// Unfit says why no rollback returns to the state, although it was verified: it is
	// deployed, and another process changed it, or its services did not stay healthy. It is ""
	// for every other state.
	Unfit string `json:"unfit,omitempty"`
	// Soak is the soak time of the state; nil for one that a rollback returned to, and where
	// config.yml gives none.
	Soak *Soak `json:"soak,omitempty"`

	// Of is the first state with these services, when a rollback returned to it; 0 otherwise.
	Of uint64 `json:"of,omitempty"`

	// The following is most of the state, and comes last in its record: the store reads what comes
	// before without it.

	Services json.RawMessage `json:"services"`           // the service specs by name
	Networks json.RawMessage `json:"networks,omitempty"` // their create options by name
	// Files are the files in git that the state was made of, by path, without plaintext
	// secrets: a rollback needs no git. The store's Files reads them.
	Files map[string]File `json:"files,omitempty"`
}

// ApprovedCommit gives the commit since which each one needs an approval.
func (g *GoodState) ApprovedCommit() string {
	if g.Approved != "" {
		return g.Approved
	}
	return g.Commit
}

// Retention is config.yml's `secrets.retention`: how long unused objects stay.
type Retention struct {
	After    time.Duration `json:"after"`    // since the last use; 0: Versions alone decides
	Versions int           `json:"versions"` // how many old ones stay whatever their age
}

// Object is a secret or config that an applied stack refers to.
type Object struct {
	Name   string        `json:"name"`             // in Swarm
	Key    string        `json:"key,omitempty"`    // in the compose file; none for an external one
	Rotate time.Duration `json:"rotate,omitempty"` // after how long it is to be rotated; 0 for never
	Vault  VaultRead     `json:"vault,omitzero"`   // where in Vault its value is; zero for a value of the repository
}

// File is a file that a good state was made of. Equal contents are stored once.
type File struct {
	Sum  string `json:"sum,omitempty"`  // of its content
	Link string `json:"link,omitempty"` // the target of a symbolic link
}

// Keep adds a file to those of the state.
func (g *GoodState) Keep(name string, content []byte) {
	if g.Contents == nil {
		g.Contents = map[string][]byte{}
	}
	sum := sha256.Sum256(content)
	file := File{Sum: hex.EncodeToString(sum[:])}
	g.Contents[file.Sum] = content
	g.keep(name, file)
}

// KeepRules adds a config.yml that the next commit is judged by.
func (g *GoodState) KeepRules(content []byte) {
	if g.Contents == nil {
		g.Contents = map[string][]byte{}
	}
	sum := sha256.Sum256(content)
	text := hex.EncodeToString(sum[:])
	g.Contents[text], g.Rules = content, append(g.Rules, text)
}

// KeepLink adds a symbolic link.
func (g *GoodState) KeepLink(name, to string) { g.keep(name, File{Link: to}) }

func (g *GoodState) keep(name string, file File) {
	if g.Files == nil {
		g.Files = map[string]File{}
	}
	g.Files[name] = file
}

// Root gives the ID of the first state with these services.
func (g *GoodState) Root() uint64 {
	if g.Of != 0 {
		return g.Of
	}
	return g.SyncID
}

// Same reports whether two states have the same objects.
func (g *GoodState) Same(other *GoodState) bool {
	names := func(a, b Object) bool { return a.Name == b.Name }
	return g.StackName == other.StackName && g.Owner == other.Owner &&
		bytes.Equal(g.Services, other.Services) && bytes.Equal(g.Networks, other.Networks) &&
		slices.EqualFunc(g.Secrets, other.Secrets, names) && slices.EqualFunc(g.Configs, other.Configs, names)
}

// Kept gives how many of the good states, the newest first, are to be kept: as long as the
// retention of the newest says after another state took their place, never fewer than
// the newest and its predecessors by count. A state that a rollback returned to counts as
// the original one.
func Kept(good []GoodState, now time.Time) int {
	if len(good) == 0 {
		return 0
	}
	rule, roots := good[0].Retention, map[uint64]bool{}
	for i := range good {
		roots[good[i].Root()] = true
		if len(roots)-1 > rule.Versions && now.Sub(good[i-1].At) >= rule.After || i >= KeepGood {
			return i
		}
	}
	return len(good)
}

// NewestFit gives the place of the newest of the good states, the newest first, that a rollback can
// return to; -1 if there is none. Where a rollback was disturbed, its state is not fit: then the one
// counts that it returned to, and those that it left only if no other is fit.
func NewestFit(good []GoodState) int {
	last := uint64(math.MaxUint64) // those after it were left
	for i := range good {
		switch {
		case good[i].SyncID > last:
		case good[i].Unfit == "":
			return i
		default:
			last = good[i].Root()
		}
	}
	return slices.IndexFunc(good, func(one GoodState) bool { return one.Unfit == "" })
}
