package agent_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/policy"
	gitsync "coin.internal/coin-agent/sync"
)

const twoApprove = "approval: {required: true, minimum: 2, approvers: [bob, carol]}\n"

// judgedWorld is a world whose first commit, which has these gates, was approved by bob and
// carol and is good.
func judgedWorld(t *testing.T, section string, test func(w *world)) {
	t.Helper()
	toApprove(t, section, func(w *world) {
		w.merges.users = []string{"bob", "carol"}
		w.merges.requests[0].Labels = []string{"CAB approved"}
		w.start()
		w.wantLast(w.revision.Commit, record.Succeeded)
		w.merges.users, w.merges.requests[0].Labels = nil, nil
		test(w)
	})
}

// agrees has users approve the merge request, and the board, and waits for a look.
func (w *world) agrees(label string, users ...string) {
	w.merges.set(func() {
		w.merges.users = users
		w.merges.requests[0].Labels = []string{label}
	})
	w.poll()
}

// TestNoCommitLiftsItsGates plays the attack: a commit deletes approval, board and freeze, and
// brings a release with it. It is judged by what it deletes, also after a restart. Once it is
// good, the next commit is judged by the new rules.
func TestNoCommitLiftsItsGates(t *testing.T) {
	const gates = "approval: {required: true, minimum: 2, approvers: [bob, carol], change_advisory_board: true}\n" +
		"freeze: [{name: holidays, from: 2000-01-01T06:00:00Z, to: 2000-01-01T10:00:00Z}]\n"
	judgedWorld(t, gates, func(w *world) {
		w.pass(8 * time.Hour)
		second := w.release("2", configFile, approvalConfig)
		w.poll()
		const loosens = "this commit lowers approvals from 2 to 0, removes the approval of the change advisory board"
		w.said(loosens+", removes the freeze holidays; ", "frozen until 10:00 UTC: holidays", "approval is required: !12 has 0 of 2 approvals (of bob, carol)")
		if w.states(second); !strings.HasPrefix(w.description, "waiting for a user (approval): "+loosens) {
			w.t.Errorf("GitLab says %q", w.description)
		}
		w.halt()
		w.start()
		w.agrees("", "bob", "carol")
		w.said("frozen until 10:00 UTC: holidays", "!12 is not agreed to by the change advisory board")
		w.pass(2 * time.Hour)
		w.said("!12 is not agreed to by the change advisory board")
		w.runs("1")
		w.agrees("CAB approved", "bob", "carol")
		done := w.wantLast(second, record.Succeeded)
		if want := loosens + ": this holds from the next commit on"; !slices.Contains(done.Warnings, want) {
			w.t.Errorf("warnings %q", done.Warnings)
		}
		w.agrees("")
		third := w.release("3")
		w.poll()
		if next := w.wantLast(third, record.Succeeded); len(next.Loosens) > 0 || len(next.Gates) == 0 {
			w.t.Errorf("loosens %q, gates %v", next.Loosens, next.Gates)
		}
		w.runs("3")
	})
}

// A commit that changes nothing but the gates waits at them as well: otherwise a second one
// would follow freely. So does one that follows it, that replaces the approvers, or that lets
// others have their role.
func TestGatesAreNotLiftedBeforehand(t *testing.T) {
	const roles = "approval: {required: true, approvers: [Lead], roles: {Lead: [bob, carol]}, minimum: 2}\n"
	for name, test := range map[string]struct{ good, commit, loosens string }{
		"removed":   {twoApprove, "", "lowers approvals from 2 to 0"},
		"minimum":   {twoApprove, strings.Replace(twoApprove, "2", "1", 1), "lowers approvals from 2 to 1"},
		"approvers": {twoApprove, strings.Replace(twoApprove, "bob, carol", "eve, mallory", 1), "lets eve, mallory approve"},
		"roles":     {roles, strings.Replace(roles, "bob, carol", "eve, mallory", 1), "lets eve, mallory approve"},
	} {
		t.Run(name, func(t *testing.T) {
			judgedWorld(t, test.good, func(w *world) {
				for _, tag := range []string{"1", "2"} {
					w.release(tag, configFile, approvalConfig+test.commit)
					if tag == "1" {
						w.set(func() {
							w.revision.Commit = strings.Repeat("e", 40)
							w.history = append([]gitsync.Commit{{Hash: w.revision.Commit, Changes: true}}, w.history...)
						})
					}
					w.agrees("", "eve", "mallory")
					w.said("this commit "+test.loosens, "of 2 approvals (of bob, carol)")
				}
				w.runs("1")
				if w.plans() != 1 {
					w.t.Errorf("%d plans were applied", w.plans())
				}
				w.agrees("", "eve", "mallory", "bob", "carol")
				w.wantLast(w.revision.Commit, record.Succeeded)
				w.runs("2")
				if text := w.wrote(audit.Sync); !strings.Contains(text, "; this commit "+test.loosens+"; approved in !12 by gitlab:bob, gitlab:carol") {
					w.t.Errorf("the audit log has %q", text)
				}
			})
		})
	}
}

// A commit that waits, or was replaced, or failed, judges nothing: the last good one does.
func TestOnlyGoodRevisionsJudge(t *testing.T) {
	judgedWorld(t, twoApprove, func(w *world) {
		w.release("2", configFile, approvalConfig)
		w.poll()
		w.said("lowers approvals from 2 to 0")
		w.release("3", configFile, approvalConfig)
		w.poll()
		w.said("lowers approvals from 2 to 0")
		w.breaks("3")
		w.agrees("", "bob", "carol")
		w.wantLast(w.revision.Commit, record.Failed)
		w.agrees("")
		w.release("4")
		w.poll()
		w.said("lowers approvals from 2 to 0", "!12 has 0 of 2 approvals")
	})
}

// A rollback lifts no gate: the rules of the state that it leaves hold beside those of the
// state that it returns to.
func TestRollbackLiftsNoGate(t *testing.T) {
	toApprove(t, "", func(w *world) {
		w.start()
		first := w.wantLast(w.revision.Commit, record.Succeeded)
		w.release("2", configFile, approvalConfig+twoApprove)
		w.agrees("", "bob", "carol")
		w.wantLast(w.revision.Commit, record.Succeeded)
		w.agrees("")
		w.wentBack(request.Rollback{To: first.ID})
		w.halt()
		w.start()
		w.release("3", configFile, approvalConfig)
		w.poll()
		w.said("lowers approvals from 2 to 0", "!12 has 0 of 2 approvals")
		w.agrees("", "bob", "carol")
		w.wantLast(w.revision.Commit, record.Succeeded)
		w.agrees("")
		fourth := w.release("4")
		w.poll()
		w.wantLast(fourth, record.Succeeded)
	})
}

// The correction of a drift asks for no approval, also while a commit that loosens waits: it
// returns to what was approved.
func TestDriftWhileGatesAreLoosened(t *testing.T) {
	judgedWorld(t, twoApprove+"drift: correct\n", func(w *world) {
		w.set(func() { w.live = nil })
		w.poll()
		if sync := w.wantLast(w.revision.Commit, record.Succeeded); sync.Trigger != record.OnDrift || len(sync.Loosens) > 0 {
			w.t.Errorf("%s loosens %q", sync.Trigger, sync.Loosens)
		}
		w.runs("1")
	})
}

// If the config.yml of the last good revision cannot be read, a user on the node decides.
func TestJudgesThatAreLost(t *testing.T) {
	judgedWorld(t, twoApprove, func(w *world) {
		w.halt()
		w.recorded(func(good *record.GoodState) { good.Files, good.Rules = nil, []string{strings.Repeat("0", 64)} })
		w.release("2", configFile, approvalConfig)
		w.start()
		w.said("this commit is judged without the config.yml of the last good revision, which cannot be read", "!12 has 0 of 1 approvals")
		if err := w.approve(""); err != nil {
			w.t.Fatal(err)
		}
		w.wantLast(w.revision.Commit, record.Succeeded)
	})
	judgedWorld(t, twoApprove, func(w *world) { // as earlier versions recorded it
		w.halt()
		w.recorded(func(good *record.GoodState) { good.Files, good.Rules = nil, nil })
		w.release("2", configFile, approvalConfig)
		w.start()
		w.wantLast(w.revision.Commit, record.Succeeded)
	})
	judgedWorld(t, twoApprove, func(w *world) { // as the version before this one did
		w.halt()
		w.recorded(func(good *record.GoodState) { good.Rules = nil })
		w.release("2", configFile, approvalConfig)
		w.start()
		w.said("lowers approvals from 2 to 0")
	})
}

// recorded changes the deployed good state in the state file, while the daemon does not run.
func (w *world) recorded(change func(good *record.GoodState)) {
	w.t.Helper()
	w.start()
	good, err := w.records.Deployed()
	if err == nil {
		change(good)
		err = w.records.SaveFitness(nil, good, nil)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.halt()
}

// withFloor has the daemon start with a floor in agent.yml.
func (w *world) withFloor(text string) {
	w.t.Helper()
	read, err := policy.ReadFile("agent.yml", []byte("policy: {floor: {"+text+"}}"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.change = func(parts *agent.Parts) { parts.Settings.Policy = read }
}

// The node's floor holds from the first commit on, and no commit says that it loosens it.
func TestFloorHoldsEachCommit(t *testing.T) {
	toApprove(t, "", func(w *world) {
		w.withFloor("approval: {required: true, approvers: [bob]}, deployment: {auto_deploy: false}")
		w.start()
		if sync := w.said("auto_deploy is off", "!12 has 0 of 1 approvals (of bob)"); len(sync.Loosens) > 0 {
			w.t.Errorf("loosens %q", sync.Loosens)
		}
		w.agrees("", "bob")
		w.said("auto_deploy is off")
		if _, err := w.desk.Sync(w.t.Context(), person, func(string) {}); err != nil {
			w.t.Fatal(err)
		}
		w.wantLast(w.revision.Commit, record.Succeeded)
		w.agrees("")
		w.release("2")
		w.poll()
		w.said("!12 has 0 of 1 approvals (of bob)")
	})
}

// A drift is not corrected in a freeze of the floor.
func TestFloorFreezesDrift(t *testing.T) {
	toApprove(t, "drift: correct\n", func(w *world) {
		w.withFloor("freeze: [{name: audit, from: 2000-01-01T06:00:00Z, to: 2000-01-01T07:00:00Z}]")
		w.start()
		w.wantLast(w.revision.Commit, record.Succeeded)
		w.pass(7*time.Hour - 30*time.Minute)
		w.set(func() { w.live = nil })
		w.pass(10 * time.Minute)
		if n := w.plans(); n != 1 {
			w.t.Errorf("%d plans were applied during the freeze", n)
		}
		w.pass(30 * time.Minute)
		w.runs("1")
	})
}

// A release does not roll back less because its commit says so.
func TestRollbackRulesOfTheLastGoodRevision(t *testing.T) {
	for name, section := range map[string]string{"automatic": "rollback: {automatic: false}", "forbidden": "rollback: {enabled: false, automatic: true}"} {
		t.Run(name, func(t *testing.T) {
			judgedWorld(t, "deployment: {rollback: {automatic: true}}\n", func(w *world) {
				w.breaks("2")
				second := w.release("2", configFile, approvalConfig+"deployment: {"+section+"}\n")
				w.poll()
				w.wantLast(second, record.RolledBack)
				w.runs("1")
			})
		})
	}
}

// A commit that lets plaintext secrets in cannot bring them: the next one can.
func TestPlaintextSecretsOfTheSameCommit(t *testing.T) {
	const allowed, plain = approvalConfig + "allow_plaintext_secrets: true\n", nodeDir + "secrets.override.env"
	judgedWorld(t, "", func(w *world) {
		second := w.release("2", configFile, allowed, plain, "db_password=x\n")
		w.poll()
		if sync := w.wantLast(second, record.Failed); !strings.Contains(sync.Error, "db_password is a secret in plaintext") {
			w.t.Errorf("failed with %q", sync.Error)
		}
		w.release("3", plain, "SV_db=1\n")
		w.poll()
		w.wantLast(w.revision.Commit, record.Succeeded)
		w.release("4", plain, "db_password=x\n")
		w.poll()
		w.wantLast(w.revision.Commit, record.Succeeded)
	})
}

// A node that a commit takes out of the order is waited for until it has succeeded, or a user
// on the node lets the commit pass without it: it may be gone.
func TestNodeTakenOutOfTheOrder(t *testing.T) {
	inOrder(t, func(w *world) {
		for _, node := range []string{"node1", "node2"} {
			w.others.says(w.revision.Commit, node, gitlab.Success)
		}
		w.start()
		w.wantLast(w.revision.Commit, record.Succeeded)
		second := w.release("2", configFile, strings.Replace(nodesConfig("order_timeout: 5m"), "  - {name: node1, context: c1, stack: s, role: primary}\n", "", 1))
		w.others.says(second, "node2", gitlab.Success)
		w.pass(20 * time.Minute)
		if sync := w.said("this commit no longer waits for node1", "waiting for node1, which this commit no longer waits for, and which says nothing yet"); record.Unattended(sync) {
			w.t.Error("waits without a user")
		}
		w.others.says(second, "node1", gitlab.Failed)
		w.poll()
		w.said("waiting for node1, which this commit no longer waits for, and which says failed")
		w.runs("1")
		if err := w.approve(""); err != nil {
			w.t.Fatal(err)
		}
		w.wantLast(second, record.Succeeded)
		w.runs("2")
	}, "order_timeout: 5m")
}

// A commit that changes nothing but the gates is in the audit log, with who approved it.
func TestLiftedGatesAreAudited(t *testing.T) {
	judgedWorld(t, twoApprove, func(w *world) {
		w.commit("2", configFile, approvalConfig)
		w.agrees("", "bob", "carol")
		if sync := w.wantLast(w.revision.Commit, record.Succeeded); sync.Wrote {
			w.t.Error("it wrote something")
		}
		want := "commit: nothing to change; this commit lowers approvals from 2 to 0; approved in !12 by gitlab:bob, gitlab:carol"
		if text := w.wrote(audit.Sync); !strings.Contains(text, want) {
			w.t.Errorf("the audit log has %q, want %q in it", text, want)
		}
	})
}
