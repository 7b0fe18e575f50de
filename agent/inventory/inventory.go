// Package inventory takes the engine's stock and the recorded good states and gives a
// node's versions of secrets and configs, with why each is kept. It removes only
// versions that no service uses and no good state needs.
package inventory

import (
	"context"
	"fmt"
	"slices"
	"time"

	"coin.internal/coin-agent/agent/newest"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

// engine is the Swarm that holds the versions.
type engine interface {
	Inventory(ctx context.Context) (*deploy.Inventory, error)
	Collect(ctx context.Context, due []deploy.Version, keep deploy.Retention, note func(deploy.Event) error) (removed, used []deploy.Version, err error)
}

// records are the good states of the stack.
type records interface {
	Deployed() (*record.GoodState, error)
	BriefGood(now time.Time) ([]record.GoodState, error)
	PruneGood(now time.Time) error
}

// usage remembers since when versions are unused.
type usage interface {
	Unused() (map[string]time.Time, error)
	SeeUnused(ids []string, now time.Time) (map[string]time.Time, error)
}

// Sources are what a survey is made from.
type Sources struct {
	Engine  engine
	Records records
	Usage   usage
	Others  func(now time.Time) ([]record.GoodState, error) // of the node's other stacks, without services; nil: it has none
	Newest  func() newest.Known                             // versions of secrets in Vault; nil: it is not asked
}

// Survey lists the versions of a node's secrets and configs, and says which of them are
// kept.
type Survey struct {
	Stack     string           `json:"stack"`
	At        time.Time        `json:"at"`
	Retention record.Retention `json:"retention"`
	Versions  []deploy.Version `json:"versions"` // secrets first, by key, the newest first
	Secrets   []ListedSecret   `json:"secrets,omitempty"`

	// Uncertain says why nothing is removed now; "" when removal is allowed.
	Uncertain string           `json:"uncertain,omitempty"`
	Removed   []deploy.Version `json:"removed,omitempty"`
	Used      []deploy.Version `json:"used,omitempty"` // the engine reports that these are in use after all

	sources Sources
	keep    deploy.Retention
	stock   *deploy.Inventory
	newest  map[string]int // versions in Vault, by path
}

// Look makes a survey. It changes nothing.
func Look(ctx context.Context, from Sources, now time.Time) (*Survey, error) {
	applied, err := from.Records.Deployed()
	if err != nil {
		return nil, fmt.Errorf("read what is deployed: %w", err)
	}
	if applied == nil {
		return nil, request.Refuse(request.Conflict, "`agent status` shows the progress of the first sync", "no revision is applied and verified yet")
	}
	good, err := from.Records.BriefGood(now)
	if err != nil {
		return nil, fmt.Errorf("read good states: %w", err)
	}
	since, err := from.Usage.Unused()
	if err != nil {
		return nil, fmt.Errorf("read unused versions: %w", err)
	}
	stock, err := from.Engine.Inventory(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the versions: %w", err)
	}
	s := &Survey{Stack: applied.StackName, At: now, Retention: applied.Retention, sources: from, stock: stock}
	s.keep = deploy.Retention{
		Owner: applied.Owner, Stack: applied.StackName, Versions: applied.Retention.Versions, After: applied.Retention.After,
		Good: GoodStates(good), Since: since, Now: now,
	}
	if from.Newest != nil {
		s.newest = from.Newest().Newest
	}
	s.Versions = stock.Versions(s.keep)
	if from.Others != nil && len(deploy.Collectable(s.Versions)) > 0 {
		others, err := from.Others(now)
		if err != nil {
			return nil, fmt.Errorf("read good states of the other stacks: %w", err)
		}
		s.keep.Others = GoodStates(others)
		s.Versions = stock.Versions(s.keep)
	}
	s.Secrets = s.listed(applied)
	if s.Retention.Versions < 1 || len(good) == 0 {
		s.Uncertain = "the next sync has to record first what it applies"
	}
	return s, nil
}

// GoodStates gives what good states need of the engine.
func GoodStates(good []record.GoodState) []deploy.GoodState {
	names := func(objects []record.Object) (names []string) {
		for _, object := range objects {
			names = append(names, object.Name)
		}
		return names
	}
	var all []deploy.GoodState
	for _, one := range good {
		all = append(all, deploy.GoodState{Stack: one.StackName, Commit: one.Commit, At: one.At, Secrets: names(one.Secrets), Configs: names(one.Configs)})
	}
	return all
}

// Collect removes the versions that are no longer kept. Before that it records since
// when each version is unused, and drops the good states that have expired. note gets
// each removal before it is made, and how it ended.
func (s *Survey) Collect(ctx context.Context, note func(deploy.Event) error) (err error) {
	if err := s.sources.Records.PruneGood(s.At); err != nil {
		return fmt.Errorf("drop old good states: %w", err)
	}
	var unused []string
	for _, version := range s.Versions {
		if version.Unused && s.keep.Own(version) {
			unused = append(unused, version.ID)
		}
	}
	of, err := s.ofOthers()
	if err != nil {
		return fmt.Errorf("read unused versions: %w", err)
	}
	if s.keep.Since, err = s.sources.Usage.SeeUnused(append(unused, of...), s.At); err != nil {
		return fmt.Errorf("record unused versions: %w", err)
	}
	s.Versions = s.stock.Versions(s.keep)
	s.Removed, s.Used, err = s.sources.Engine.Collect(ctx, deploy.Collectable(s.Versions), s.keep, note)
	for i := range s.Versions {
		if slices.ContainsFunc(s.Used, func(used deploy.Version) bool { return used.ID == s.Versions[i].ID }) {
			s.Versions[i].Kept = append(s.Versions[i].Kept, "a service has begun to use it")
		}
	}
	s.Versions = slices.DeleteFunc(s.Versions, func(v deploy.Version) bool {
		return slices.ContainsFunc(s.Removed, func(gone deploy.Version) bool { return gone.ID == v.ID })
	})
	return err
}

// ofOthers lists the objects that the node's other stacks have found unused, and which are still
// there: their surveys look after those.
func (s *Survey) ofOthers() (ids []string, err error) {
	since, err := s.sources.Usage.Unused()
	add := func(id string, labels map[string]string) {
		if _, unused := since[id]; unused && labels[compose.LabelStack] != s.keep.Stack {
			ids = append(ids, id)
		}
	}
	for _, one := range s.stock.Secrets {
		add(one.ID, one.Spec.Labels)
	}
	for _, one := range s.stock.Configs {
		add(one.ID, one.Spec.Labels)
	}
	slices.Sort(ids)
	return ids, err
}

// Kept counts the versions of a kind that belong to the node, that no service uses,
// and that are kept.
func (s *Survey) Kept(kind deploy.Kind) int {
	kept := 0
	for _, version := range s.Versions {
		if version.Kind == kind && version.Owner == s.keep.Owner && len(version.Uses) == 0 {
			kept++
		}
	}
	return kept
}
