package decision_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/decision"
	"coin.internal/coin-agent/agent/record"
)

// lasts are the last syncs that a stack can have, by name; all are of commit "a".
func lasts() map[string]*record.Sync {
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	group := &record.Group{Nodes: []string{"node1"}}
	back := func(auto bool, resumed time.Time) *record.Rollback {
		return &record.Rollback{To: 1, Finished: at, Auto: auto, Resumed: resumed}
	}
	all := map[string]*record.Sync{
		"none":         nil,
		"pending":      {State: record.Pending},
		"waiting":      {State: record.Waiting},
		"running":      {State: record.Running, Wrote: true},
		"rolling back": {State: record.Running, Wrote: true, Rollback: &record.Rollback{To: 1}},
		"good":         {State: record.Succeeded},
		"open group":   {State: record.Succeeded, Group: group},
		"held":         {State: record.Failed, Stage: record.StageRender},
		"held, dirty":  {State: record.Failed, Stage: record.StageVerify, Wrote: true},
		"at the gate":  {State: record.Failed, Stage: record.StageGate},
		"transient":    {State: record.Failed, Transient: true},
		"pinned":       {State: record.RolledBack, Rollback: back(false, time.Time{})},
		"gone back":    {State: record.RolledBack, Rollback: back(true, time.Time{})},
		"resumed":      {State: record.RolledBack, Rollback: back(false, at)},
		"group failed": {State: record.RolledBack, Rollback: back(true, time.Time{}), Group: &record.Group{Failed: "node1"}},
		"superseded":   {State: record.Superseded},
	}
	for _, sync := range all {
		if sync != nil {
			sync.Commit, sync.Ref = "a", "master"
		}
	}
	return all
}

// walk asks for actions and makes the observations, until an action ends the look.
func walk(t *testing.T, r record.Trigger, known decision.Record, world decision.Observed, p decision.Policy) (asked []decision.Action, end decision.Action) {
	t.Helper()
	seen := decision.Observed{Trigger: r}
	for range 10 {
		switch action := decision.Next(known, seen, p); action {
		case decision.AskRemote:
			seen.Remote = world.Remote
			asked = append(asked, action)
		case decision.AskGroup:
			seen.Group = world.Group
			asked = append(asked, action)
		case decision.AskLineage:
			seen.Lineage = world.Lineage
			asked = append(asked, action)
		case decision.AskFiles:
			seen.Files = world.Files
			asked = append(asked, action)
		case decision.AskDrift:
			seen.Drift = world.Drift
			asked = append(asked, action)
		case decision.Wait, decision.Unreachable, decision.CarryBack, decision.LeaveGroup, decision.LeaveRelease, decision.RefusePinned,
			decision.RefuseRewrite, decision.RefuseSigner, decision.Share, decision.Sync, decision.CorrectSync, decision.CorrectBack:
			return asked, action
		}
	}
	t.Fatalf("no end after %v", asked)
	return nil, ""
}

// expect is what a look at the same commit, at a newer one that changes files, and at a
// newer one that changes none, comes to: without drift, and for a user.
var expect = map[string]struct{ same, newer, unconcerned, byUser decision.Action }{
	"none":         {decision.Sync, decision.Sync, decision.Sync, decision.Sync},
	"pending":      {decision.Sync, decision.Sync, decision.Sync, decision.Sync},
	"waiting":      {decision.Sync, decision.Sync, decision.Sync, decision.Sync},
	"running":      {decision.Sync, decision.Sync, decision.Sync, decision.Sync},
	"rolling back": {decision.CarryBack, decision.CarryBack, decision.CarryBack, decision.CarryBack},
	"good":         {decision.Wait, decision.Sync, decision.Share, decision.Sync},
	"open group":   {decision.Wait, decision.Sync, decision.Share, decision.Sync},
	"held":         {decision.Wait, decision.Sync, decision.Share, decision.Sync},
	"held, dirty":  {decision.Wait, decision.Sync, decision.Share, decision.Sync},
	"at the gate":  {decision.Wait, decision.Sync, decision.Sync, decision.Sync},
	"transient":    {decision.Sync, decision.Sync, decision.Sync, decision.Sync},
	"pinned":       {decision.Wait, decision.Sync, decision.Share, decision.RefusePinned},
	"gone back":    {decision.Wait, decision.Sync, decision.Share, decision.Sync},
	"resumed":      {decision.Sync, decision.Sync, decision.Sync, decision.Sync},
	"group failed": {decision.Wait, decision.Sync, decision.Sync, decision.Sync},
	"superseded":   {decision.Sync, decision.Sync, decision.Sync, decision.Sync},
}

func TestCommits(t *testing.T) {
	all := lasts()
	if len(all) != len(expect) {
		t.Fatalf("%d last syncs, %d expectations", len(all), len(expect))
	}
	follows := decision.Follows
	for name, last := range all {
		look := func(trigger record.Trigger, commit string, same bool) decision.Action {
			world := decision.Observed{
				Remote: &decision.Remote{Commit: commit, Ref: "master"}, Group: &decision.Group{}, Lineage: &follows,
				Files: &decision.Files{Same: same}, Drift: &decision.Drift{},
			}
			_, end := walk(t, trigger, decision.Record{Last: last}, world, decision.Policy{Group: true})
			return end
		}
		got := []decision.Action{
			look(record.OnCommit, "a", true), look(record.OnCommit, "b", false), look(record.OnCommit, "b", true), look(record.OnRequest, "a", true),
		}
		want := expect[name]
		if !slices.Equal(got, []decision.Action{want.same, want.newer, want.unconcerned, want.byUser}) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

// Whatever is on record and observed, a look ends, and these hold.
func TestInvariants(t *testing.T) {
	bools := []bool{false, true}
	n := 0
	for name, last := range lasts() {
		for _, trigger := range []record.Trigger{record.OnCommit, record.OnRequest} {
			for _, commit := range []string{"a", "b"} {
				for _, away := range bools {
					for _, lineage := range []decision.Lineage{decision.Follows, decision.Behind, decision.Diverged} {
						for flags := range 1 << 10 {
							flag := func(bit int) bool { return flags>>bit&1 == 1 }
							known := decision.Record{Last: last, Observes: flag(9), Paused: flag(0) || flag(9), Frozen: flag(1), Corrects: flag(2), Degraded: flag(7) && last != nil && last.State == record.Succeeded}
							world := decision.Observed{
								Remote: &decision.Remote{Commit: commit, Ref: "master"}, Group: &decision.Group{}, Lineage: &lineage,
								Files: &decision.Files{Same: flag(3), Refused: flag(8)}, Drift: &decision.Drift{},
							}
							if away {
								world.Remote.Err = errors.New("away")
							}
							if flag(4) {
								world.Group.Failed = "node1"
							}
							if flag(5) && last.Dirty() == 0 {
								world.Drift.Services = 1
							}
							policy := decision.Policy{AllowRewrite: flag(6), Group: true}
							asked, end := walk(t, trigger, known, world, policy)
							check(t, fmt.Sprintf("%s %s %s away=%t %s flags=%010b", name, trigger, commit, away, lineage, flags), trigger, known, world, policy, asked, end)
							n++
						}
					}
				}
			}
		}
	}
	t.Logf("%d looks", n)
}

func check(t *testing.T, name string, trigger record.Trigger, known decision.Record, world decision.Observed, p decision.Policy, asked []decision.Action, end decision.Action) {
	t.Helper()
	corrects := end == decision.CorrectSync || end == decision.CorrectBack
	rolls := end == decision.Sync || end == decision.Share
	moved := known.Last != nil && known.Last.Commit != world.Remote.Commit
	for rule, broken := range map[string]bool{
		"a rollback under way comes first":                  !known.Observes && known.Last.RollingBack() != (end == decision.CarryBack),
		"an agent that observes rolls nothing back":         known.Observes && (end == decision.CarryBack || end == decision.LeaveGroup || end == decision.LeaveRelease || end == decision.CorrectBack),
		"an agent that observes carries no write on":        known.Observes && rolls && (known.Last.RollingBack() || known.Last.CarriesOn() && known.Last.Wrote && !moved),
		"nothing is asked twice":                            len(slices.Compact(slices.Sorted(slices.Values(asked)))) != len(asked),
		"a paused or frozen stack is not corrected":         corrects && (known.Paused || known.Frozen || !known.Corrects),
		"a correction needs drift":                          corrects && world.Drift.Services == 0,
		"a paused stack does not leave its group":           end == decision.LeaveGroup && known.Paused,
		"a release is left only if it did not stay healthy": end == decision.LeaveRelease && !known.Degraded,
		"a paused stack does not leave its release":         end == decision.LeaveRelease && known.Paused,
		"before a release is left, its services are read":   end == decision.LeaveRelease && !slices.Contains(asked, decision.AskDrift),
		"a newer commit comes before the release is left":   end == decision.LeaveRelease && moved && world.Remote.Err == nil && (*world.Lineage == decision.Follows || *world.Lineage == decision.Diverged && p.AllowRewrite),
		"a rewritten branch is not followed":                rolls && moved && *world.Lineage == decision.Diverged && !p.AllowRewrite,
		"an unsigned commit is not followed":                rolls && world.Files.Refused,
		"only such a commit is refused for that":            end == decision.RefuseSigner && (!world.Files.Refused || !slices.Contains(asked, decision.AskFiles)),
		"an older commit is not rolled out by itself":       rolls && moved && *world.Lineage == decision.Behind && trigger != record.OnRequest,
		"a remote that is away starts nothing":              world.Remote.Err != nil && (rolls || corrects || end == decision.RefuseRewrite),
		"what a user pinned is not rolled out":              end == decision.Sync && known.Last.PinnedByUser() && !moved,
		"a held commit is not tried again by itself":        end == decision.Sync && known.Last.Held() && !moved && trigger == record.OnCommit,
		"the engine is not read where a sync will read it":  rolls && slices.Contains(asked, decision.AskDrift),
	} {
		if broken {
			t.Errorf("%s: ends with %s after %v: %s", name, end, asked, rule)
		}
	}
}

// While the refs lag behind, drift waits: a correction by the good state would end the last
// sync, which may wait or carry on, as rolled back.
func TestDriftWhileRefsLagBehind(t *testing.T) {
	behind := decision.Behind
	for name, last := range lasts() {
		world := decision.Observed{
			Remote: &decision.Remote{Commit: "0", Ref: "master"}, Group: &decision.Group{}, Lineage: &behind,
			Files: &decision.Files{}, Drift: &decision.Drift{Services: 1},
		}
		if last == nil || last.RollingBack() {
			continue
		}
		known := decision.Record{Last: last, Deployed: &record.GoodState{}, Corrects: true}
		if _, end := walk(t, record.OnCommit, known, world, decision.Policy{}); end != decision.Wait {
			t.Errorf("%s: got %s", name, end)
		}
	}
}
