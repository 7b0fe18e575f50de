package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/agent/page/browsertest"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/internal/waitfor"
)

// TestPage shows the page of an agent on a real engine in a browser, in each state that a
// person may find it in, on a desk and on a phone.
func TestPage(t *testing.T) {
	t.Parallel()
	p := newPageLab(t)
	p.step("first start", p.pageAtFirstStart)
	p.step("rolling out, live", p.pageRollsOut)
	p.step("waiting for approval", p.pageWaits)
	p.step("every page", p.everyPage)
	p.step("by keys", p.pageByKeys)
	p.step("without a script", p.pageWithoutScript)
	p.step("drifted", p.pageDrifted)
	p.step("failed and held", p.pageFailed)
	p.step("rolled back", p.pageRolledBack)
	p.step("hostile texts", p.pageHostile)
	p.step("GitLab does not answer", p.pageWithoutGitLab)
	p.step("degraded", p.pageDegraded)
	p.step("the agent ends, and comes back without its engine", p.pageReconnects)
}

func (p *pageLab) pageAtFirstStart() {
	p.start()
	waitfor.NoError(p.t, patience, func() error { _, err := p.status(); return err })
	p.tab.Visit(p.t, "/syncs")
	p.tab.See(p.t, "login", browsertest.Desk, browsertest.PhoneDark)
	p.tab.Press(p.t, "wrong\r")
	p.tab.Until(p.t, `document.querySelector("[role=alert]") !== null && document.activeElement.id === "token"`)
	p.tab.Press(p.t, operateToken+"\r")
	p.tab.Until(p.t, `location.pathname === "/syncs" && document.readyState === "complete"`)
	p.opens("/")
	p.sees("first-start", "starting")
}

func (p *pageLab) pageRollsOut() {
	first := p.commit("Release 1.40.0", p.files("1.40.0", ""))
	p.answers()
	p.tab.Until(p.t, `document.querySelector("#rollout") !== null`)
	p.sees("rolling-out", record.Short(first), "services ready")
	p.await(first, record.Succeeded)
	p.shows("in sync with " + record.Short(first))
}

func (p *pageLab) pageWaits() {
	p.more = "approval: {required: true, approvers: [bob]}\n"
	commit, _ := p.release("Release 1.41.0: pay out in SEK", p.files("1.41.0", `CURRENCIES: "EUR SEK"`))
	p.waitsFor(commit, "has 0 of 1 approvals (of bob)")
	p.sees("waiting", record.Short(commit), "has 0 of 1 approvals (of bob)")
	p.opens("/act/approve")
	p.tab.See(p.t, "approve", browsertest.Desk, browsertest.PhoneDark)
	p.tab.Press(p.t, "seen in the review\r") // its field has the focus
	p.tab.Until(p.t, `location.pathname !== "/act/approve" && document.readyState === "complete"`)
	p.opens("/")
	p.await(commit, record.Succeeded)
	p.shows("in sync with " + record.Short(commit))
}

func (p *pageLab) everyPage() {
	p.document("page-in-sync")
	for i, path := range []string{"/", "/syncs/latest", "/plan", "/syncs", "/syncs?failed=true", "/secrets", "/services/coin_gateway/logs", "/syncs/999", "/fleet", "/act/pause"} {
		p.opens(path)
		p.tab.Until(p.t, `location.pathname.startsWith("/act/") || document.body.classList.contains("live")`) // forms stay as they are
		name := "page" + strings.NewReplacer("/", "-", "?", "-", "=", "-").Replace(path)
		p.tab.See(p.t, name, browsertest.Desk, browsertest.PhoneDark)
		if i < 2 {
			p.tab.See(p.t, name, browsertest.DeskDark, browsertest.Phone)
		}
	}
	p.tab.Untroubled(p.t)
}

// Keys reach all that can be done, in the order of the page, and the focus stays where it is
// when what is around it changes.
func (p *pageLab) pageByKeys() {
	for _, look := range []browsertest.Look{browsertest.Desk, browsertest.PhoneDark} {
		p.tab.As(p.t, look)
		for _, path := range []string{"/", "/syncs"} {
			p.opens(path)
			reached := p.tab.Keys(p.t)
			if len(reached) < 8 || reached[0] != "Skip to the content" || !slices.Contains(reached, "History") {
				p.t.Errorf("%s by tabulator: %q", path, reached)
			}
		}
	}
	p.opens("/")
	p.tab.Press(p.t, "\t\r")
	p.tab.Until(p.t, `document.activeElement.id === "content"`)
	browsertest.Value[bool](p.t, p.tab, `document.querySelector("#services a").focus(), window.had = document.querySelector("#facts"), true`)
	p.tab.Until(p.t, `!document.contains(window.had) || document.querySelector("#facts") !== window.had`)
	p.tab.Until(p.t, `document.activeElement === document.querySelector("#services a")`)
}

func (p *pageLab) pageWithoutScript() {
	p.tab.Scripts(p.t, false)
	p.tab.Visit(p.t, "/")
	p.tab.Scripts(p.t, true) // for what judges the page; its own script did not run
	p.tab.Until(p.t, `["As of 2", "Reload the page", "in sync with", "gateway", "Release 1.41.0"].every((text) => document.body.innerText.includes(text))`)
	p.tab.See(p.t, "without-script", browsertest.Desk, browsertest.PhoneDark)
	p.opens("/")
}

func (p *pageLab) pageDrifted() {
	p.swarm.Docker(p.t, "", "service", "update", "--detach", "--env-add", "CURRENCIES=EUR", "--limit-memory", "64M", p.stack+"_worker")
	p.until("drifted", func(s report.Status) bool { return len(s.Drift) > 0 })
	p.sees("drifted", "drifted from", "env CURRENCIES")
	p.document("page-drifted")
	p.opens("/plan")
	p.sees("drifted-plan", "env CURRENCIES")
	p.opens("/")
	p.mustRun(exitDone, []string{"updated"}, "sync", "--wait")
	p.shows("in sync with")
}

// crashing is a setting with which the worker ends soon after each start.
const crashing = `CURRENCIES: "EUR SEK", CRASH_AFTER: 1ms`

func (p *pageLab) pageFailed() {
	commit := p.approved("Release 1.42.0: new ledger", p.files("1.42.0", crashing))
	p.await(commit, record.Failed)
	p.sees("failed", record.Short(commit), "failed at verify", "What is wrong", "crashed on demand")
	p.document("page-failed")
	p.opens("/syncs/latest")
	p.sees("failed-sync", "failed", "Services that were not ready")
	p.opens("/services/coin_worker/logs?failed=true")
	p.sees("failed-log", "crashed on demand")
	p.opens("/")
}

func (p *pageLab) pageRolledBack() {
	p.more += "deployment: {rollback: {automatic: true}}\n"
	commit := p.approved("Release 1.43.0", p.files("1.43.0", crashing))
	p.await(commit, record.RolledBack)
	p.sees("rolled-back", "rolled back to", record.Short(commit))
	p.opens("/syncs/latest")
	p.sees("rolled-back-sync", "rolled back", "Report of the rollback")
	p.opens("/")
}

// Hostile texts of a commit are shown, and do nothing.
func (p *pageLab) pageHostile() {
	commit := p.hostileCommit()
	p.await(commit, record.Succeeded)
	p.shows("in sync with "+record.Short(commit), `</title><script>alert(1)</script>`)
	for _, path := range []string{"/", "/syncs", "/syncs/latest", "/plan", "/services/coin_worker/logs"} {
		p.opens(path)
		p.tab.Until(p.t, `document.body.classList.contains("live")`)
		p.tab.See(p.t, "hostile"+strings.ReplaceAll(path, "/", "-"), browsertest.Desk, browsertest.PhoneDark)
		if found := browsertest.Value[int](p.t, p.tab, `document.querySelectorAll("main script, main img, main style, main [onload], main a[href^='javascript']").length`); found > 0 {
			p.t.Errorf("%s has %d elements of a commit", path, found)
		}
		if raw := browsertest.Value[bool](p.t, p.tab, `/[\u202e\u0007\u001b]/.test(document.documentElement.outerHTML)`); raw {
			p.t.Errorf("%s has invisible characters of a commit", path)
		}
	}
	p.opens("/services/coin_worker/logs")
	p.shows("<script>alert(1)</script>") // which the worker printed
	p.opens("/")
	p.tab.Untroubled(p.t)
}

func (p *pageLab) pageWithoutGitLab() {
	p.gitlab.Inject(gitlabtest.Fault{Times: -1, Status: http.StatusBadGateway})
	commit := p.commit("Release 1.41.1", p.files("1.41.0", ""))
	p.until("GitLab fails", func(s report.Status) bool { return s.GitLab != nil && s.GitLab.LastError != "" })
	p.sees("no-gitlab", record.Short(commit), "GitLab")
	p.gitlab.Heal()
}

func (p *pageLab) pageDegraded() {
	list, err := p.swarm.API.ContainerList(p.t.Context(), container.ListOptions{
		Filters: filters.NewArgs(filters.Arg("label", "com.docker.swarm.service.name="+p.stack+"_gateway")),
	})
	if err != nil || len(list) == 0 {
		p.t.Fatalf("containers of the gateway: %v, %v", list, err)
	}
	if err := p.swarm.API.ContainerKill(p.t.Context(), list[0].ID, "KILL"); err != nil {
		p.t.Fatal(err)
	}
	p.healthIs("degraded")
	p.sees("degraded", "DEGRADED", "1/2")
}

// When the agent ends, the page says so and turns grey; when it comes back, the page shows what
// it then says, without being loaded again.
func (p *pageLab) pageReconnects() {
	stale := `document.body.classList.contains("stale") && document.querySelector("#connection").innerText.includes("%s") && window.mark === 1`
	p.kill()
	p.tab.Until(p.t, fmt.Sprintf(stale, "Reconnecting"))
	p.tab.Until(p.t, fmt.Sprintf(stale, "old"))
	p.tab.See(p.t, "reconnecting", browsertest.Desk, browsertest.PhoneDark)
	p.settings["engine"] = "unix://" + p.dir + "/nowhere.sock"
	p.start()
	p.sees("no-engine", "engine", "nowhere.sock")
}
