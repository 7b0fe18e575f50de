package deploy_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/internal/waitfor"
)

// versionsTest is a real Swarm with versions of a secret. Services of several stacks use
// some of them.
type versionsTest struct {
	t        *testing.T
	on       *swarmtest.Swarm
	recorder *swarmtest.Recorder
	engine   *deploy.Engine
	stack    string
	keep     deploy.Retention
}

func newVersionsTest(t *testing.T) *versionsTest {
	t.Helper()
	on, recorder, engine := swarmWith(t)
	stack := on.Stack(t)
	return &versionsTest{t, on, recorder, engine, stack, deploy.Retention{
		Owner: owner + "/" + stack, Stack: stack, Versions: 1, Now: time.Now(), // an owner of its own: tests share the engine
		Good: []deploy.GoodState{{Commit: "applied", At: time.Now()}},
	}}
}

func (s *versionsTest) name(short string) string { return s.stack + "_" + short }

// put creates secrets of an owner, one after the other. "" means no owner.
func (s *versionsTest) put(owner string, shorts ...string) {
	s.t.Helper()
	s.putFor(s.stack, owner, shorts...)
}

func (s *versionsTest) putFor(stack, owner string, shorts ...string) {
	s.t.Helper()
	for _, short := range shorts {
		labels := map[string]string{compose.LabelStack: stack}
		if owner != "" {
			labels[compose.LabelOwner] = owner
		}
		spec := swarm.SecretSpec{Annotations: swarm.Annotations{Name: s.name(short), Labels: labels}, Data: []byte("canary-" + short)}
		made, err := s.on.API.SecretCreate(s.t.Context(), spec)
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() { _ = s.on.API.SecretRemove(context.WithoutCancel(s.t.Context()), made.ID) })
	}
}

// serve creates or updates a service of a stack that uses a secret.
func (s *versionsTest) serve(stack, service, short string) {
	s.t.Helper()
	name := s.stack + "_" + service
	secret, _, err := s.on.API.SecretInspectWithRaw(s.t.Context(), s.name(short))
	if err != nil {
		s.t.Fatal(err)
	}
	spec := swarm.ServiceSpec{
		Annotations: swarm.Annotations{Name: name, Labels: map[string]string{compose.LabelStack: stack, "of": s.stack}},
		TaskTemplate: swarm.TaskSpec{ContainerSpec: &swarm.ContainerSpec{Image: image1, Secrets: []*swarm.SecretReference{{
			SecretID: secret.ID, SecretName: secret.Spec.Name, File: &swarm.SecretReferenceFileTarget{Name: "db", UID: "0", GID: "0", Mode: 0o400},
		}}}},
		Mode: swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: new(uint64)}}, // a reference is enough
	}
	if _, _, err := s.on.API.ServiceInspectWithRaw(s.t.Context(), name, swarm.ServiceInspectOptions{}); err != nil {
		if _, err := s.on.API.ServiceCreate(s.t.Context(), spec, swarm.ServiceCreateOptions{}); err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() { s.drop(service) })
		return
	}
	waitfor.NoError(s.t, 5*time.Minute, func() error { // the engine still writes to a new service
		live, _, err := s.on.API.ServiceInspectWithRaw(s.t.Context(), name, swarm.ServiceInspectOptions{})
		if err == nil {
			_, err = s.on.API.ServiceUpdate(s.t.Context(), live.ID, live.Version, spec, swarm.ServiceUpdateOptions{})
		}
		return err
	})
}

func (s *versionsTest) drop(service string) {
	s.t.Helper()
	_ = s.on.API.ServiceRemove(context.WithoutCancel(s.t.Context()), s.stack+"_"+service)
}

// versions gives the versions in the Swarm.
func (s *versionsTest) versions() []deploy.Version {
	s.t.Helper()
	inventory, err := s.engine.Inventory(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return inventory.Versions(s.keep)
}

// want checks the reasons why each version is kept. The names are without the stack.
func (s *versionsTest) want(want map[string]string) {
	s.t.Helper()
	got := map[string]string{}
	for _, version := range s.versions() {
		got[strings.TrimPrefix(version.Name, s.stack+"_")] = strings.ReplaceAll(strings.Join(version.Kept, "; "), s.stack+"_", "")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Errorf("kept (-want +got):\n%s", diff)
	}
}

// names lists the existing secrets.
func (s *versionsTest) names() []string {
	s.t.Helper()
	list, err := s.on.API.SecretList(s.t.Context(), swarm.SecretListOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	names := []string{}
	for _, secret := range list {
		if short, ok := strings.CutPrefix(secret.Spec.Name, s.stack+"_"); ok {
			names = append(names, short)
		}
	}
	slices.Sort(names)
	return names
}

func (s *versionsTest) wantNames(want ...string) {
	s.t.Helper()
	if diff := cmp.Diff(want, s.names()); diff != "" {
		s.t.Errorf("what is there (-want +got):\n%s", diff)
	}
}

// collect removes the versions that may be removed now.
func (s *versionsTest) collect() (removed, used []string, err error) {
	s.t.Helper()
	due := deploy.Collectable(s.versions())
	gone, refused, err := s.engine.Collect(s.t.Context(), due, s.keep, func(deploy.Event) error { return nil })
	return s.shorts(gone), s.shorts(refused), err
}

func (s *versionsTest) shorts(versions []deploy.Version) []string {
	names := []string{}
	for _, version := range versions {
		names = append(names, strings.TrimPrefix(version.Name, s.stack+"_"))
	}
	return names
}

// TestCollectOnTheEngine covers versions that are used in each way, and unused ones.
func TestCollectOnTheEngine(t *testing.T) {
	s := newVersionsTest(t)
	s.put(s.keep.Owner, "db.1", "db.2", "db.3", "db.4", "db.5", "db.6", "db.7")
	s.put("sandbox/node4", "db.8")
	s.put("", "db.9", "adopted.1")
	s.putFor("elsewhere", s.keep.Owner, "db.10")
	s.keep.Good = []deploy.GoodState{
		{Commit: "applied", Secrets: []string{s.name("db.7"), s.name("adopted.1")}},
		{Commit: "0123456789abcdef", At: time.Date(2026, 11, 20, 9, 30, 0, 0, time.UTC), Secrets: []string{s.name("db.4")}},
	}
	s.serve("elsewhere", "foreign", "db.2")
	s.serve(s.stack, "web", "db.3")
	s.serve(s.stack, "web", "db.7")
	s.want(map[string]string{
		"db.1": "", "db.5": "",
		"db.2":      "in use by foreign",
		"db.3":      "previous spec of web",
		"db.4":      "good state of 2026-11-20 09:30 0123456789",
		"db.6":      "last old version",
		"db.7":      "in use by web; newest version",
		"db.8":      "belongs to sandbox/node4",
		"db.9":      "not created by this agent",
		"db.10":     "belongs to the stack elsewhere",
		"adopted.1": "in the last applied stack; not created by this agent",
	})
	s.recorder.Reset()
	removed, used, err := s.collect()
	if diff := cmp.Diff([]string{"db.5", "db.1"}, removed); diff != "" || len(used) > 0 || err != nil {
		t.Errorf("%s, used %v, %v", diff, used, err)
	}
	if calls := s.recorder.Calls(); len(calls) != 3+3+2 {
		t.Errorf("calls: %v", calls)
	}
	s.wantNames("adopted.1", "db.10", "db.2", "db.3", "db.4", "db.6", "db.7", "db.8", "db.9")

	s.recorder.Reset()
	if removed, _, err := s.collect(); len(removed) > 0 || err != nil {
		t.Errorf("then: %v, %v", removed, err)
	}
	if calls := s.recorder.Calls(); len(calls) != 3 {
		t.Errorf("nothing to do takes %v", calls)
	}
}

// TestCollectKeepsNewlyUsed: a version that a service begins to use after the first
// reading stays, because of the second reading or the engine's refusal.
func TestCollectKeepsNewlyUsed(t *testing.T) {
	s := newVersionsTest(t)
	s.put(s.keep.Owner, "db.1", "db.2", "db.3", "db.4")
	s.serve(s.stack, "web", "db.4")
	s.keep.Good[0].Secrets = []string{s.name("db.4")}
	due := deploy.Collectable(s.versions())
	if diff := cmp.Diff([]string{"db.2", "db.1"}, s.shorts(due)); diff != "" {
		t.Fatal(diff)
	}
	s.serve("elsewhere", "late", "db.2")
	removed, used, err := s.engine.Collect(t.Context(), due, s.keep, func(e deploy.Event) error {
		if e.Done != errors.Is(e.Err, deploy.ErrUsed) {
			t.Errorf("done %v, %v", e.Done, e.Err)
		}
		if !e.Done {
			s.serve("elsewhere", "later", strings.TrimPrefix(e.Step.Name, s.stack+"_"))
		}
		return nil
	})
	if diff := cmp.Diff([]string{"db.1"}, s.shorts(used)); diff != "" || len(removed) > 0 || err != nil {
		t.Errorf("%s, removed %v, %v", diff, removed, err)
	}
	s.wantNames("db.1", "db.2", "db.3", "db.4")
}

// TestCollectStopsAtAnError: an error of the engine or of note ends the collection.
func TestCollectStopsAtAnError(t *testing.T) {
	s := newVersionsTest(t)
	s.put(s.keep.Owner, "db.1", "db.2", "db.3", "db.4", "db.5")
	s.serve(s.stack, "web", "db.5")
	s.keep.Good[0].Secrets = []string{s.name("db.5")}
	s.recorder.Reset()
	s.recorder.BeforeWrite(2, func(swarmtest.Call) error { return errors.New("no leader in sight") })
	removed, _, err := s.collect()
	if !cmp.Equal(removed, []string{"db.3"}) || err == nil || !strings.Contains(err.Error(), "remove secret "+s.name("db.2")) || !strings.Contains(err.Error(), "no leader in sight") {
		t.Errorf("removed %v, %v", removed, err)
	}
	if writes := s.recorder.Writes(); len(writes) != 2 {
		t.Errorf("writes %v", writes)
	}
	s.wantNames("db.1", "db.2", "db.4", "db.5")

	s.recorder.Reset()
	full := errors.New("the log is full")
	_, _, err = s.engine.Collect(t.Context(), deploy.Collectable(s.versions()), s.keep, func(deploy.Event) error { return full })
	if writes := s.recorder.Writes(); !errors.Is(err, full) || len(writes) > 0 {
		t.Errorf("%v, writes %v", err, writes)
	}
}

// TestCollectRemovedKey: all versions of a key are removed when nothing refers to it any
// more; before that the newest stays.
func TestCollectRemovedKey(t *testing.T) {
	s := newVersionsTest(t)
	s.put(s.keep.Owner, "old.1", "old.2", "db.1")
	s.keep.Good = []deploy.GoodState{{Commit: "applied", Secrets: []string{s.name("db.1")}}, {Commit: "before", Secrets: []string{s.name("old.2")}}}
	s.want(map[string]string{
		"db.1": "in the last applied stack; newest version", "old.1": "last old version",
		"old.2": "good state of 0001-01-01 00:00 before; newest version",
	})
	s.keep.Good = s.keep.Good[:1]
	s.keep.After = 14 * 24 * time.Hour
	within := "unused for less than 14 days: 14 days left"
	s.want(map[string]string{"db.1": "in the last applied stack; newest version", "old.1": within, "old.2": within})
	ids := map[string]time.Time{}
	for _, version := range s.versions() {
		if version.Unused {
			ids[version.ID] = s.keep.Now
		}
	}
	s.keep.Since = maps.Clone(ids)
	s.keep.Now = s.keep.Now.Add(13*24*time.Hour + time.Minute)
	within = "unused for less than 14 days: 24 hours left"
	s.want(map[string]string{"db.1": "in the last applied stack; newest version", "old.1": within, "old.2": within})
	s.keep.Now = s.keep.Now.Add(24 * time.Hour)
	s.want(map[string]string{"db.1": "in the last applied stack; newest version", "old.1": "", "old.2": ""})
	if removed, _, err := s.collect(); !cmp.Equal(removed, []string{"old.2", "old.1"}) || err != nil {
		t.Errorf("removed %v, %v", removed, err)
	}
}

// TestCollectWithoutGoodState: without an owner or a good state nothing may be removed.
func TestCollectWithoutGoodState(t *testing.T) {
	s := newVersionsTest(t)
	s.put(s.keep.Owner, "db.1", "db.2", "db.3")
	s.put("", "x.1", "x.2", "x.3")
	good := s.keep.Good
	s.keep.Good = nil
	if due := deploy.Collectable(s.versions()); len(due) > 0 {
		t.Errorf("nothing is on record, and these may go: %v", s.shorts(due))
	}
	s.keep.Good, s.keep.Owner = good, ""
	for _, version := range s.versions() {
		if version.Collectable() {
			t.Errorf("without an owner, %s may be removed", version.Name)
		}
	}
}
