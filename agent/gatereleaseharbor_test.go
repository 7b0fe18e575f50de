package agent_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/harbor/harbortest"
	"coin.internal/coin-agent/internal/freeaddress"
)

// trusting has the world's agent know a Harbor and its files of check_dir.
func (w *world) trusting(h *harbortest.Harbor, found *around) {
	dir := w.t.TempDir()
	for name, content := range map[string]string{"harbor.pem": string(h.CA), "user": harbortest.User + "\n", "token": harbortest.Password + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	w.change = func(p *agent.Parts) { p.Release, p.Settings.CheckDir = found, dir }
}

// vulnerable is config.yml with the gate on vulnerabilities.
func vulnerable(h *harbortest.Harbor, more string) string {
	return gated("non-production", "{vulnerabilities: {registry: '"+h.URL+"', ca_file: harbor.pem, user_file: user, token_file: token"+more+"}}", "")
}

// TestVulnerabilities rolls out, or not, by what a Harbor says of the images.
func TestVulnerabilities(t *testing.T) {
	h := harbortest.New(t) // outside of the bubble: its goroutines wait for the network
	counts := map[string]int{"Critical": 1, "High": 4}
	h.Put("coin/release:critical", harbortest.Scan{Severity: "Critical", Counts: counts, Private: true})
	h.Put("coin/release:high", harbortest.Scan{Severity: "High", Private: true})
	h.Put("coin/release:clean", harbortest.Scan{Severity: "None", Private: true})
	h.Put("coin/release:new", harbortest.Scan{Unasked: true, Private: true})
	h.Put("coin/release:half", harbortest.Scan{Severity: "None", Share: 50, Private: true})
	h.Put("coin/release:bad-half", harbortest.Scan{Severity: "Critical", Share: 50, Private: true})
	failed, held, passes := record.Failed, false, record.Succeeded
	tests := map[string]struct {
		tag, more string
		state     record.State
		again     bool
		want      string // of the error, or of what the gate says
		warns     string
	}{
		"critical":       {"critical", "", failed, held, "/coin/release:critical has vulnerabilities of severity Critical or worse (1 Critical, 4 High, scanned 2025-12-15)", ""},
		"high":           {"high", "", passes, held, "1 image scanned, at worst High", ""},
		"high is much":   {"high", ", severity: High", failed, held, "of severity High or worse (High, scanned", ""},
		"clean":          {"clean", ", severity: Low", passes, held, "1 image scanned, at worst None", ""},
		"not scanned":    {"new", "", failed, true, "has not scanned", ""},
		"goes on":        {"new", ", on_no_answer: warn", passes, held, "", "has not scanned"},
		"one platform":   {"half", "", failed, true, "50% of its platforms", ""},
		"that is known":  {"bad-half", ", on_no_answer: warn", failed, held, "of severity Critical or worse", ""},
		"unknown":        {"other", "", failed, true, "does not have", ""},
		"excepted":       {"other", ", except: ['" + h.Host + "/coin/*']", passes, held, "", ""},
		"nothing blocks": {"critical", ", severity: none", passes, held, "at worst Critical", "has vulnerabilities of severity High or worse"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.trusting(h, &around{})
				commit := w.commit("2", configFile, vulnerable(h, test.more), nodeDir+"docker-compose.yml", "services: {web: {image: '"+h.Host+"/coin/release:"+test.tag+"'}}\n")
				w.start()
				sync := w.wantLast(commit, test.state)
				text := sync.Error + w.releaseGate().Passed
				if sync.Transient != test.again || !strings.Contains(text, test.want) || w.plans() > 0 == (test.state == failed) {
					w.t.Errorf("again %t, %d plans: %s", sync.Transient, w.plans(), text)
				}
				if sync.State == failed && sync.Hint == "" {
					w.t.Error("there is no remedy")
				}
				if warnings := strings.Join(sync.Warnings, "\n"); !strings.Contains(warnings, test.warns) {
					w.t.Errorf("warnings: %s", warnings)
				}
			})
		})
	}
}

// TestHarborIsAway waits for a Harbor, asks it once a look however many images there
// are, and shows its login nowhere.
func TestHarborIsAway(t *testing.T) {
	h := harbortest.New(t)
	inWorld(t, func(w *world) {
		w.trusting(h, &around{})
		h.Answer(func(w http.ResponseWriter, r *http.Request) {
			_, password, _ := r.BasicAuth()
			harbortest.Refuse(w, http.StatusBadGateway, "UNKNOWN", "no "+password)
		})
		var services []string
		for i := range 20 {
			h.Put(fmt.Sprintf("coin/s%d:1", i), harbortest.Scan{Severity: "Low", Private: true})
			services = append(services, fmt.Sprintf("s%d: {image: '%s/coin/s%d:1'}", i, h.Host, i))
		}
		commit := w.commit("2", configFile, vulnerable(h, ""), nodeDir+"docker-compose.yml", "services: {"+strings.Join(services, ", ")+"}\n")
		w.start()
		sync := w.wantLast(commit, record.Failed)
		if !sync.Transient || !strings.Contains(sync.Error, "is not available (HTTP 502") || sync.Faults != nil {
			w.t.Errorf("%+v", sync)
		}
		if asked := len(h.Requests()); asked > 8 {
			w.t.Errorf("asked %d times", asked)
		}
		written, err := json.Marshal(sync)
		if err != nil || strings.Contains(string(written), harbortest.Password) {
			w.t.Errorf("the record shows the login: %s, %v", written, err)
		}
		h.Answer(nil)
		w.pass(time.Hour)
		w.wantLast(commit, record.Succeeded)
		if got := w.releaseGate().Passed; !strings.Contains(got, "20 images scanned, at worst Low") {
			w.t.Errorf("passed with %q", got)
		}
	})
}

// TestWhichHarborIsAsked asks the images' own registry with the node's login for it,
// and no other; and nobody about images that no Harbor can know.
func TestWhichHarborIsAsked(t *testing.T) {
	h := harbortest.New(t)
	digest := "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	h.Put("library/postgres:17", harbortest.Scan{Severity: "None"}) // of the same name, but another image
	h.Put("library/redis@"+digest, harbortest.Scan{Severity: "Low"})
	h.Put("coin/release:1", harbortest.Scan{Severity: "None", Private: true})
	named := "registry: '" + h.URL + "/', "
	tests := map[string]struct {
		image, registry string
		want            string
		hosts           string // that logins were read for
	}{
		"its own":          {h.Host + "/coin/release:1", "", "1 image scanned, at worst None", h.Host},
		"elsewhere":        {"postgres:17", named, "is not in " + h.Host + ", and without a digest", ""},
		"by digest":        {"redis:7@" + digest, named, "1 image scanned, at worst Low", h.Host},
		"Docker Hub":       {"postgres:17", "", "docker.io/library/postgres:17 is not in a Harbor registry", ""},
		"without project":  {h.Host + "/release:1", "", "its name has no project", ""},
		"another registry": {h.Host + "/coin/release:1", "registry: 'https://127.0.0.1:1', ", "without a digest", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				found := &around{user: harbortest.User, word: harbortest.Password}
				w.trusting(h, found)
				w.commit("2", configFile, gated("non-production", "{vulnerabilities: {"+test.registry+"ca_file: harbor.pem}}", ""),
					nodeDir+"docker-compose.yml", "services: {web: {image: '"+test.image+"'}}\n")
				w.start()
				if text := w.last().Error + w.releaseGate().Passed; !strings.Contains(text, test.want) {
					w.t.Errorf("got %q", text)
				}
				if got := strings.Join(found.hosts, " "); got != test.hosts {
					w.t.Errorf("logins for %q, want %q", got, test.hosts)
				}
			})
		})
	}
}

// TestHarborsFiles waits for files of the node that are not as they should be.
func TestHarborsFiles(t *testing.T) {
	h := harbortest.New(t)
	h.Put("coin/release:1", harbortest.Scan{Severity: "None"})
	tests := map[string]struct{ gate, want string }{
		"no token":  {"user_file: user, token_file: none", "none"},
		"no ca":     {"ca_file: none", "none"},
		"no pem":    {"ca_file: user", "holds no certificates"},
		"a strange": {"severity: Low", "certificate"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.trusting(h, &around{})
				w.commit("2", configFile, gated("non-production", "{vulnerabilities: {registry: '"+h.URL+"', "+test.gate+"}}", ""),
					nodeDir+"docker-compose.yml", "services: {web: {image: '"+h.Host+"/coin/release:1'}}\n")
				w.start()
				if sync := w.last(); !sync.Transient || !strings.Contains(sync.Error, test.want) || sync.Hint == "" {
					w.t.Errorf("got %+v", sync)
				}
			})
		})
	}
}

// TestDatabaseIsWaitedFor holds a rollout back until the database's port takes
// connections.
func TestDatabaseIsWaitedFor(t *testing.T) {
	address := freeaddress.New(t)
	host, port, _ := net.SplitHostPort(address)
	inWorld(t, func(w *world) {
		commit := w.commit("2", configFile, gated("non-production", "{database: true}", "database: {host: "+host+", port: "+port+"}\n"))
		w.start()
		sync := w.wantLast(commit, record.Failed)
		if !sync.Transient || !strings.Contains(sync.Error, "config.yml:5:11: the database "+address+" does not answer") || !strings.Contains(sync.Hint, "deployment.gates.database: false") {
			w.t.Fatalf("%q %q", sync.Error, sync.Hint)
		}
		back, err := net.Listen("tcp", address)
		if err != nil {
			w.t.Fatal(err)
		}
		defer func() { _ = back.Close() }()
		w.pass(time.Hour)
		w.wantLast(commit, record.Succeeded)
		if got := w.releaseGate().Passed; !strings.Contains(got, "database takes connections") {
			w.t.Errorf("passed with %q", got)
		}
	})
}
