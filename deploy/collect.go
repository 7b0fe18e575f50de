package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/swarm"
)

// Inventory holds every secret and config of the Swarm, and the services of all stacks,
// which may use them.
type Inventory struct {
	Secrets  map[string]swarm.Secret
	Configs  map[string]swarm.Config
	Services LiveServices
}

// Inventory reads the inventory, with three calls. It reads the services last, so that it
// contains every object that they use.
func (e *Engine) Inventory(ctx context.Context) (*Inventory, error) {
	secrets, err := e.reader.secrets(ctx, filters.NewArgs())
	if err != nil {
		return nil, err
	}
	configs, err := e.reader.configs(ctx, filters.NewArgs())
	if err != nil {
		return nil, err
	}
	services, err := e.reader.services(ctx, filters.NewArgs())
	return &Inventory{Secrets: secrets, Configs: configs, Services: services}, err
}

// Version is one version of a secret or config, and why it stays in Swarm.
type Version struct {
	Kind    Kind      `json:"kind"`
	Name    string    `json:"name"` // full name in the engine
	Key     string    `json:"key"`  // the name without the version
	Version string    `json:"version,omitempty"`
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	Owner   string    `json:"owner,omitempty"` // the agent that created it; "" if none did
	Stack   string    `json:"stack,omitempty"` // the stack that it was created for

	Uses []Use `json:"uses,omitempty"` // by the current specs of the services
	// Unused tells that no service uses it, that no service used it before its last
	// update, and that it is not in the last applied stack.
	Unused bool `json:"unused"`
	// Kept lists the reasons why it stays. Without a reason it may be removed.
	Kept []string `json:"kept,omitempty"`
}

// Use is one service that has a secret or config, and the place in its containers.
type Use struct {
	Service string `json:"service"`
	Target  string `json:"target"`
}

// GoodState is a state to which a rollback may go, with the names of its secrets and
// configs.
type GoodState struct {
	Stack   string
	Commit  string
	At      time.Time
	Secrets []string
	Configs []string
}

// String names the state of another stack, as the reason why a version stays.
func (g GoodState) String() string {
	return fmt.Sprintf("good state of the stack %s of %s %.10s", g.Stack, g.At.UTC().Format("2006-01-02 15:04"), g.Commit)
}

// has tells whether a version belongs to the state.
func (g GoodState) has(v Version) bool {
	return slices.Contains(g.Secrets, v.Name) && v.Kind == Secret || slices.Contains(g.Configs, v.Name) && v.Kind == Config
}

// Retention holds the rules by which versions stay.
type Retention struct {
	Owner    string
	Stack    string
	Versions int                  // how many old versions stay besides the newest, at any age
	After    time.Duration        // how long a version stays when nothing uses it any more
	Good     []GoodState          // the newest first; the first is the last applied state
	Others   []GoodState          // of the owner's other stacks, which may use versions as external ones
	Since    map[string]time.Time // since when nothing uses a version, by ID
	Now      time.Time
}

// Own tells whether the owner created a version for its stack. Other versions are never
// removed.
func (r *Retention) Own(v Version) bool {
	return r.Owner != "" && v.Owner == r.Owner && v.Stack == r.Stack
}

// ErrUsed says that the engine refuses to remove an object because a service uses it.
var ErrUsed = errors.New("a service uses it")

// removeVersion removes a version by its ID. A version that does not exist is not an error.
func removeVersion(ctx context.Context, e *Engine, version Version) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	remove := e.swarm.SecretRemove
	if version.Kind == Config {
		remove = e.swarm.ConfigRemove
	}
	err := remove(ctx, version.ID)
	switch {
	case err == nil, errdefs.IsNotFound(err):
		return nil
	case strings.Contains(err.Error(), "is in use by the following service"):
		return ErrUsed
	}
	return e.address.explain("remove "+string(version.Kind)+" "+version.Name, err)
}

// Collect reads the inventory again and removes those of the versions that still may be
// removed, one after the other. It calls note before and after each removal; an error of
// note or of the engine ends the collection. It gives the removed versions, and those
// that the engine refused to remove because they are used.
func (e *Engine) Collect(ctx context.Context, due []Version, keep Retention, note func(Event) error) (removed, used []Version, err error) {
	if len(due) == 0 {
		return nil, nil, nil
	}
	inventory, err := e.Inventory(ctx)
	if err != nil {
		return nil, nil, err
	}
	still := Collectable(inventory.Versions(keep))
	for _, version := range due {
		if !slices.ContainsFunc(still, func(v Version) bool { return v.ID == version.ID }) {
			continue
		}
		event := Event{Step: Step{Action: Remove, Kind: version.Kind, Name: version.Name}}
		if err := note(event); err != nil {
			return removed, used, err
		}
		event.Done, event.Err = true, removeVersion(ctx, e, version)
		noteErr := note(event)
		switch {
		case errors.Is(event.Err, ErrUsed):
			used = append(used, version)
		case event.Err == nil:
			removed = append(removed, version)
		default:
			return removed, used, errors.Join(event.Err, noteErr)
		}
		if noteErr != nil {
			return removed, used, noteErr
		}
	}
	return removed, used, nil
}

// Collectable tells whether there is no reason to keep the version.
func (v Version) Collectable() bool { return len(v.Kept) == 0 }

// Collectable gives the versions that may be removed.
func Collectable(versions []Version) []Version {
	return slices.DeleteFunc(slices.Clone(versions), func(v Version) bool { return !v.Collectable() })
}
