package agent_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

// merges are the merge requests and their approvals, as GitLab tells them.
type merges struct {
	mu       sync.Mutex
	requests []gitlab.Request // that brought the present commit
	users    []string         // who approved the first of them
	err      error
	hangs    bool
	asked    int
}

// MergeRequests tells those of a commit.
func (m *merges) MergeRequests(ctx context.Context, _ string) ([]gitlab.Request, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	if m.hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return m.requests, m.err
}

// Approvals tells who approved one.
func (m *merges) Approvals(_ context.Context, of gitlab.Request) ([]gitlab.Approval, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if of.Number != m.requests[0].Number {
		return nil, m.err
	}
	approvals := make([]gitlab.Approval, 0, len(m.users))
	for _, user := range m.users {
		approvals = append(approvals, gitlab.Approval{User: user})
	}
	return approvals, m.err
}

// Protected tells that a branch is protected, except the branch feature.
func (m *merges) Protected(_ context.Context, branch string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return branch != "feature", m.err
}

func (m *merges) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

const approvalConfig = "environment: {name: sandbox, type: non-production}\nnodes: [{name: node3, context: c, stack: s}]\n"

// toApprove is a world whose commit needs approval, as config.yml's section says.
func toApprove(t *testing.T, section string, test func(w *world)) {
	t.Helper()
	inWorld(t, func(w *world) {
		w.merges = &merges{requests: []gitlab.Request{{Number: 12, State: gitlab.Merged, Author: "ada", Target: "master", Brought: true}}}
		w.commit("1", configFile, approvalConfig+section)
		test(w)
	})
}

// said checks what the newest sync waits for.
func (w *world) said(words ...string) *record.Sync {
	w.t.Helper()
	sync := w.wantLast(w.revision.Commit, record.Waiting)
	for _, word := range words {
		if !strings.Contains(sync.Waiting, word) {
			w.t.Errorf("waits for %q, want %q in it", sync.Waiting, word)
		}
	}
	return sync
}

func (w *world) approve(plan string) error {
	w.t.Helper()
	_, err := w.desk.Approve(person, request.Approve{Commit: w.revision.Commit[:10], Plan: plan, Reason: "agreed by phone"})
	w.pass(time.Second)
	return err
}

// refuses checks that something was refused, with these words.
func refuses(t *testing.T, err error, words string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), words) {
		t.Errorf("got %v, want it refused with %q", err, words)
	}
}

func TestApprovalInGitLab(t *testing.T) {
	toApprove(t, "approval: {required: true, approvers: [ada, bob]}\n", func(w *world) {
		w.start()
		w.said("approval is required: !12 has 0 of 1 approvals (of ada, bob); on the node: `agent approve 0000000000`")
		w.merges.set(func() { w.merges.users = []string{"ada", "eve"} })
		w.poll()
		w.said("!12 has 0 of 1 approvals") // its author's own, and nobody's
		if _, err := w.desk.Sync(w.t.Context(), person, func(string) {}); err != nil {
			w.t.Fatal(err)
		}
		sync := w.said("!12 has 0 of 1 approvals") // a sync is no approval
		w.merges.set(func() { w.merges.users = []string{"bob", "eve"} })
		w.poll()
		done := w.wantLast(w.revision.Commit, record.Succeeded)
		want := &record.Approval{PlanDigest: sync.PlanDigest, Source: "gitlab", By: []string{"bob"}, MergeRequest: 12}
		if diff := cmp.Diff(want, done.Approval, cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".At" }, cmp.Ignore())); diff != "" {
			w.t.Error(diff)
		}
		w.toldInOrder(w.revision.Commit, gitlab.Pending, gitlab.Running, gitlab.Success)
		if strings.Contains(w.description, "approved") {
			w.t.Errorf("described as %q", w.description)
		}
		if text := w.wrote(audit.Sync); !strings.Contains(text, "approved in !12 by gitlab:bob") {
			w.t.Errorf("the audit log has %q", text)
		}
	})
}

// wrote gives the details of the audit log's entries of an action.
func (w *world) wrote(action audit.Action) string {
	w.t.Helper()
	var details []string
	err := w.audit.Read(func(entry audit.Entry) {
		if entry.Action == action {
			details = append(details, entry.Actor.String()+": "+entry.Detail)
		}
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.Join(details, "\n")
}

// Each rule, by what it says where it is not met; "" where it is.
func TestApprovalRules(t *testing.T) {
	const roles = ", roles: {Lead: [carol, dan], Board: [Eve]}"
	board := "approval: {required: true, approvers: [bob], change_advisory_board: true"
	tests := map[string]struct {
		section string
		users   []string
		change  func(m *merges)
		want    string
	}{
		"anybody":                   {"approval: {required: true}\n", []string{"zoe"}, nil, ""},
		"anybody but the author":    {"approval: {required: true}\n", []string{"ada"}, nil, "!12 has 0 of 1 approvals;"},
		"the short form":            {"deployment: {approval_required: true}\n", nil, nil, "!12 has 0 of 1 approvals"},
		"one of two is not enough":  {"approval: {required: true, approvers: [bob, carol], minimum: 2}\n", []string{"bob"}, nil, "has 1 of 2 approvals (of bob, carol)"},
		"two are":                   {"approval: {required: true, approvers: [bob, carol], minimum: 2}\n", []string{"bob", "carol"}, nil, ""},
		"a role's member":           {"approval: {required: true, approvers: [Lead, Board]" + roles + "}\n", []string{"dan"}, nil, ""},
		"one person is not two":     {"approval: {required: true, minimum: 2, approvers: [Lead, carol], roles: {Lead: [carol, dan]}}\n", []string{"carol"}, nil, "has 1 of 2"},
		"a role that nobody has":    {"approval: {required: true, approvers: [DevOps Lead]}\n", []string{"bob"}, nil, `"DevOps Lead" is not a username`},
		"the board has not agreed":  {board + "}\n", []string{"bob"}, nil, `!12 is not agreed to by the change advisory board: it takes label "CAB approved"`},
		"the board's label":         {board + "}\n", []string{"bob"}, func(m *merges) { m.requests[0].Labels = []string{"CAB approved"} }, ""},
		"the label alone":           {board + "}\n", nil, func(m *merges) { m.requests[0].Labels = []string{"CAB approved"} }, "has 0 of 1"},
		"another label":             {board + ", board: {label: CAB}}\n", []string{"bob"}, func(m *merges) { m.requests[0].Labels = []string{"CAB approved"} }, `label "CAB"`},
		"members, no label":         {board + ", board: {members: [Board]}" + strings.Replace(roles, "Lead: [carol, dan], ", "", 1) + "}\n", []string{"bob"}, func(m *merges) { m.requests[0].Labels = []string{"CAB approved"} }, "it takes an approval (of eve)"},
		"a member's approval":       {board + ", board: {members: [Board]}" + strings.Replace(roles, "Lead: [carol, dan], ", "", 1) + "}\n", []string{"bob", "eve"}, nil, ""},
		"one who is both":           {board + ", board: {members: [bob]}}\n", []string{"bob"}, nil, ""},
		"no merge request":          {"approval: {required: true}\n", []string{"bob"}, func(m *merges) { m.requests = nil }, "no merge request brought this commit"},
		"into another branch":       {"approval: {required: true}\n", []string{"bob"}, func(m *merges) { m.requests[0].Target = "stable" }, "no merge request brought this commit"},
		"GitLab cannot be reached":  {"approval: {required: true}\n", []string{"bob"}, func(m *merges) { m.err = errors.New("gitlab.test: no route to host") }, "GitLab does not tell: gitlab.test: no route to host"},
		"GitLab does not answer":    {"approval: {required: true}\n", []string{"bob"}, func(m *merges) { m.hangs = true }, "GitLab does not tell"},
		"approval is not asked for": {"approval: {approvers: [bob]}\n", nil, nil, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			toApprove(t, test.section, func(w *world) {
				w.merges.users = test.users
				if test.change != nil {
					test.change(w.merges)
				}
				w.start()
				w.pass(40 * time.Second)
				if test.want == "" {
					w.wantLast(w.revision.Commit, record.Succeeded)
					return
				}
				w.said(test.want)
				if status := w.desk.Status(); status.PollError != "" || w.plans() != 0 {
					w.t.Errorf("looks failed: %q; %d plans", status.PollError, w.plans())
				}
				w.merges.set(func() { w.merges.hangs = false })
			})
		})
	}
}

// A GitLab that is down is no failed look: it is asked again at each.
func TestApprovalWaitsForGitLab(t *testing.T) {
	toApprove(t, "approval: {required: true}\n", func(w *world) {
		w.merges.users, w.merges.err = []string{"bob"}, errors.New("away")
		w.start()
		w.pass(5 * time.Minute)
		for _, gap := range w.gaps() {
			if gap > interval+interval/10 {
				w.t.Errorf("%s between two looks", gap)
			}
		}
		w.merges.set(func() { w.merges.err = nil })
		w.poll()
		w.wantLast(w.revision.Commit, record.Succeeded)
	})
}

// Without a GitLab, or against its silence, a person on the node approves one plan.
func TestApprovalOnTheNode(t *testing.T) {
	toApprove(t, "approval: {required: true, approvers: [bob]}\n", func(w *world) {
		w.merges = nil
		w.start()
		sync := w.said("no GitLab is configured")
		for words, request := range map[string]request.Approve{
			"a reason is missing":                 {Commit: sync.Commit, Reason: " \n"},
			"does not name a commit":              {Commit: "000000", Reason: "x"},
			"not of 1111111":                      {Commit: "1111111", Reason: "x"},
			"not abcdef0":                         {Commit: sync.Commit[:7], Plan: "abcdef0", Reason: "x"},
			"longer than 200 characters":          {Commit: sync.Commit, Reason: strings.Repeat("x", 201)},
			"the plan is " + sync.PlanDigest[:10]: {Commit: sync.Commit, Plan: sync.PlanDigest[:6], Reason: "x"},
		} {
			_, err := w.desk.Approve(person, request)
			refuses(w.t, err, words)
		}
		w.pass(time.Second)
		w.said("no GitLab is configured")
		if err := w.approve(sync.PlanDigest[:10]); err != nil {
			w.t.Fatal(err)
		}
		done := w.wantLast(sync.Commit, record.Succeeded)
		if done.ID != sync.ID || done.Approval == nil || done.Approval.Reason != "agreed by phone" || done.Approval.Actor.Name != "ada" {
			w.t.Errorf("rolled out as %+v", done)
		}
		w.states(sync.Commit)
		if !strings.HasSuffix(w.description, ", approved on the node by local:ada: agreed by phone") {
			w.t.Errorf("described as %q", w.description)
		}
		if text := w.wrote(audit.Approve); text != "local:ada: agreed by phone" {
			w.t.Errorf("the audit log has %q", text)
		}
		refuses(w.t, w.approve(""), "no rollout waits for approval")
	})
}

// moves has the registry give another digest for the image's tag.
func (w *world) moves(digit string) {
	w.set(func() {
		w.resolve = func(_ deploy.LiveServices, want *compose.Stack) (*compose.Stack, []string, error) {
			resolved, spec := *want, want.Services["s_web"]
			container := *spec.TaskTemplate.ContainerSpec
			container.Image = "app:1@sha256:" + strings.Repeat(digit, 64)
			spec.TaskTemplate.ContainerSpec = &container
			resolved.Services = map[string]swarm.ServiceSpec{"s_web": spec}
			return &resolved, nil, nil
		}
	})
}

// An approval is for one plan. When that changes, it is asked for again.
func TestApprovalOfAnotherPlan(t *testing.T) {
	toApprove(t, "approval: {required: true}\n", func(w *world) {
		w.start()
		first := w.said("!12 has 0 of 1 approvals")
		w.moves("a")
		w.merges.set(func() { w.merges.users = []string{"bob"} })
		w.poll()
		second := w.said("the plan is no longer the one that was made of the merge request")
		if second.PlanDigest == first.PlanDigest || second.Approval != nil {
			w.t.Fatalf("the plan is still %s", second.PlanDigest)
		}
		refuses(w.t, w.approve(first.PlanDigest), "the plan is "+second.PlanDigest[:10])
		if _, err := w.desk.Pause(person, request.Pause{Reason: "wait"}); err != nil {
			w.t.Fatal(err)
		}
		if err := w.approve(second.PlanDigest); err != nil {
			w.t.Fatal(err)
		}
		w.said("paused by local:ada: wait")
		w.halt()
		w.start()
		if sync := w.said("paused"); strings.Contains(sync.Waiting, "approval") {
			w.t.Errorf("after a restart it waits for %q", sync.Waiting)
		}
		w.moves("b")
		if _, err := w.desk.Resume(w.t.Context(), person, request.Resume{}); err != nil {
			w.t.Fatal(err)
		}
		w.pass(time.Second)
		w.said("the plan is no longer the one that local:ada approved")
		if err := w.approve(""); err != nil {
			w.t.Fatal(err)
		}
		w.wantLast(first.Commit, record.Succeeded)
	})
}

// The plan that GitLab's approval was for still has it when the revision is tried again.
func TestApprovalOfARetry(t *testing.T) {
	toApprove(t, "approval: {required: true}\n", func(w *world) {
		w.merges.users = []string{"bob"}
		w.result = deploy.Result{Services: []deploy.ServiceResult{{Name: "s_web", State: deploy.Failed, Message: "crashed"}}}
		w.start()
		failed := w.wantLast(w.revision.Commit, record.Failed)
		retry := func() {
			w.t.Helper()
			w.set(func() { w.result, w.live, w.networks = deploy.Result{}, nil, map[string]network.CreateOptions{} })
			if _, err := w.desk.Retry(w.t.Context(), person, request.Retry{Reason: "room again"}, func(string) {}); err != nil {
				w.t.Fatal(err)
			}
		}
		w.moves("a")
		retry()
		w.said("the plan is no longer the one that was made of the merge request")
		w.set(func() { w.resolve = nil })
		w.poll()
		if done := w.wantLast(failed.Commit, record.Succeeded); done.PlanDigest != failed.PlanDigest || done.ID != failed.ID+1 {
			w.t.Errorf("plan %s of #%d", done.PlanDigest, done.ID)
		}
	})
}

// What drifted is put back without anybody's word: it was agreed to before.
func TestApprovalOfWhatWas(t *testing.T) {
	toApprove(t, "approval: {required: true}\ndrift: correct\n", func(w *world) {
		w.merges.users = []string{"bob"}
		w.start()
		w.wantLast(w.revision.Commit, record.Succeeded)
		w.merges.set(func() { w.merges.users = nil })
		w.set(func() { w.live = nil })
		w.poll()
		if sync := w.wantLast(w.revision.Commit, record.Succeeded); sync.Trigger != "drift" || w.plans() != 2 {
			w.t.Errorf("%s, %d plans", sync.Trigger, w.plans())
		}
	})
}

// A registry that is away when the commit comes makes no plan that an approval is for:
// the first one with all digests is.
func TestApprovalWhileTheRegistryIsAway(t *testing.T) {
	toApprove(t, "approval: {required: true}\n", func(w *world) {
		w.set(func() {
			w.resolve = func(_ deploy.LiveServices, want *compose.Stack) (*compose.Stack, []string, error) {
				return want, []string{"image app:1: the registry does not answer"}, nil
			}
		})
		w.start()
		w.said("!12 has 0 of 1 approvals")
		w.moves("a")
		w.poll()
		w.said("!12 has 0 of 1 approvals")
		w.moves("b")
		w.poll()
		w.said("the plan is no longer the one that was made of the merge request")
		w.moves("a")
		w.merges.set(func() { w.merges.users = []string{"bob"} })
		w.poll()
		w.wantLast(w.revision.Commit, record.Succeeded)
	})
}

// A tag can be put on each commit, so its approval is that of the merge request whose
// merge left the commit: one that only has it among others was approved as a whole.
func TestApprovalOfATag(t *testing.T) {
	toApprove(t, "approval: {required: true}\n", func(w *world) {
		w.set(func() { w.revision.Tag, w.revision.Ref = true, "2026-01-14-bad1bad1ba" })
		w.merges.users = []string{"bob"}
		w.merges.requests[0].Brought = false
		w.start()
		w.said("no merge request brought this commit")
		w.merges.set(func() { w.merges.requests[0].Brought = true })
		w.poll()
		w.wantLast(w.revision.Commit, record.Succeeded)
	})
}
