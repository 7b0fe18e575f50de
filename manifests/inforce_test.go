package manifests_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/manifests"
)

// judged gives the config.yml of two nodes, node3 before node4, of which the second is asked.
func judged(tb testing.TB, keys string) *manifests.Config {
	tb.Helper()
	if !strings.Contains(keys, "environment:") {
		keys = "environment: {name: sandbox, type: non-production}\n" + keys
	}
	if !strings.Contains("\n"+keys, "\nnodes:") {
		keys = "nodes: [{name: node3, context: a, stack: s}, {name: node4, context: b, stack: s}]\n" + keys
	}
	config, err := loadConfig("sandbox", keys+"\n")
	if err != nil {
		tb.Fatal(err)
	}
	return config
}

// judgedAt is a Saturday.
var judgedAt = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

const (
	weekend   = `freeze: [{name: weekend, schedule: "0 18 * * 5", duration: 62h}]`
	christmas = `freeze: [{name: xmas, from: 2026-11-20T00:00:00Z, to: 2026-12-27T00:00:00Z}]`
	base      = "database: {host: db, name: n, user: u}\n"
)

// inForce says what holds of the keys that gates read.
func inForce(c *manifests.Config) map[string]string {
	gates := c.ReleaseGates()
	var approvals []string
	for _, one := range c.Approvals() {
		users, _ := one.Users()
		text := fmt.Sprintf("%d of %s", one.Minimum, strings.Join(users, "+"))
		if one.ChangeAdvisoryBoard {
			members, _ := one.BoardUsers()
			text += fmt.Sprintf(" and %q/%s", one.BoardLabel(), strings.Join(members, "+"))
		}
		approvals = append(approvals, text)
	}
	frozen, _ := c.Frozen("node4", judgedAt)
	rollback, check, blue, asked := c.Deployment.Rollback, c.Deployment.MigrationCheck, c.Deployment.BlueGreen, gates.Vulnerabilities
	return map[string]string{
		"approvals": strings.Join(approvals, ", "), "frozen": frozen.Name, "auto": fmt.Sprint(c.Deployment.AutoDeploy),
		"plain": fmt.Sprint(c.AllowPlaintextSecrets), "missing": c.Images.Missing,
		"tag": strings.Join(append([]string{gates.Tag.Pattern}, gates.Tag.Also...), " "), "images": fmt.Sprint(gates.Images),
		"database": fmt.Sprint(gates.Database), "preflight": fmt.Sprint(gates.Preflight), "disk": gates.Disk.MinFree + gates.Disk.Path,
		"harbor": fmt.Sprintf("%v %s %s %s", asked.Asked, asked.Severity, asked.OnNoAnswer, asked.Registry), "excepts": fmt.Sprint(asked.Excepts("h/a"), asked.Excepts("h/b")),
		"rollback": fmt.Sprint(rollback.Enabled, rollback.Automatic, rollback.Soak), "migrations": fmt.Sprintf("%v %s %s", check.Enabled, check.Table, c.Database.Host),
		"before": strings.Join(c.Before("node4"), " "), "group": strings.Join(c.Others("node4"), " "), "blue": fmt.Sprint(blue.Soak, blue.Approval),
	}
}

// TestInForce has a commit loosen one key after the other, and tighten it: what holds is the
// stricter in both directions, and what it loosens is named.
func TestInForce(t *testing.T) {
	const (
		blue   = "nodes: [{name: node3, context: a, stack: s, role: secondary}, {name: node4, context: b, stack: s, role: primary}]\n"
		scan   = "deployment: {gates: {vulnerabilities: {severity: %s, on_no_answer: %s, registry: 'https://%s', except: [%s]}}}"
		people = "approval: {required: true, minimum: %d, approvers: [%s]}"
		board  = "approval: {required: true, change_advisory_board: true%s}"
	)
	tests := map[string]struct {
		strict, loose string
		want          map[string]string // that holds in both directions, where that is not what strict says
		loosens       string
		// tightens is for pairs that are no plain order: what the way back loosens.
		tightens string
	}{
		"approval":          {strict: fmt.Sprintf(people, 2, "ada, bob"), loose: "", loosens: "lowers approvals from 2 to 0"},
		"short form":        {strict: "deployment: {approval_required: true}", loose: "", loosens: "lowers approvals from 1 to 0"},
		"auto_deploy":       {strict: "deployment: {auto_deploy: false}", loose: "", loosens: "turns auto_deploy on"},
		"plaintext":         {strict: "", loose: "allow_plaintext_secrets: true", loosens: "allows plaintext secrets"},
		"missing images":    {strict: "", loose: "images: {missing: warn}", loosens: "continues when an image is missing"},
		"freeze":            {strict: weekend, loose: "", loosens: "removes the freeze weekend"},
		"freeze, shorter":   {strict: christmas, loose: strings.Replace(christmas, "12-27", "11-21", 1), loosens: "shortens the freeze xmas"},
		"images":            {strict: "deployment: {gates: {images: true}}", loose: "", loosens: "no longer asks the registry for the images"},
		"database":          {strict: base + "deployment: {gates: {database: true}}", loose: base, loosens: "no longer asks the database before a rollout"},
		"preflight":         {strict: "", loose: "deployment: {gates: {preflight: false}}", loosens: "turns the preflight off"},
		"disk":              {strict: "deployment: {gates: {disk: {min_free: 5GB}}}", loose: "", loosens: "lowers the free disk space from 5GB to 1GB"},
		"tag":               {strict: "deployment: {gates: {tag: {pattern: '^v'}}}", loose: "", want: map[string]string{}, loosens: "accepts any TAG"},
		"soak":              {strict: "", loose: "deployment: {rollback: {soak: 1s}}", loosens: "shortens the soak time from 10m0s to 1s"},
		"automatic":         {strict: "deployment: {rollback: {automatic: true}}", loose: "", loosens: "turns automatic rollbacks off"},
		"scan":              {strict: fmt.Sprintf(scan, "High", "block", "h", ""), loose: "", loosens: "no longer asks Harbor for vulnerabilities"},
		"scan, severity":    {strict: fmt.Sprintf(scan, "High", "block", "h", ""), loose: fmt.Sprintf(scan, "none", "block", "h", ""), loosens: "raises the severity that blocks from High to none"},
		"scan, no answer":   {strict: fmt.Sprintf(scan, "High", "block", "h", ""), loose: fmt.Sprintf(scan, "High", "warn", "h", ""), loosens: "continues when Harbor does not answer"},
		"scan, exceptions":  {strict: fmt.Sprintf(scan, "High", "block", "h", "h/b"), loose: fmt.Sprintf(scan, "High", "block", "h", "h/*"), want: map[string]string{"excepts": "false true"}, loosens: "excepts h/* from the check for vulnerabilities", tightens: "excepts h/b from the check for vulnerabilities"},
		"order":             {strict: "", loose: "deployment: {strategy: parallel}", loosens: "no longer waits for node3"},
		"order, node gone":  {strict: "", loose: "nodes: [{name: node4, context: b, stack: s}]", loosens: "no longer waits for node3"},
		"minimum":           {strict: fmt.Sprintf(people, 2, "ada, bob"), loose: fmt.Sprintf(people, 1, "ada, bob"), want: map[string]string{"approvals": "2 of ada+bob, 1 of ada+bob"}, loosens: "lowers approvals from 2 to 1"},
		"more approvers":    {strict: fmt.Sprintf(people, 1, "ada"), loose: fmt.Sprintf(people, 1, "ada, eve"), want: map[string]string{"approvals": "1 of ada, 1 of ada+eve"}, loosens: "lets eve approve"},
		"everyone approves": {strict: fmt.Sprintf(people, 1, "ada"), loose: "approval: {required: true}", want: map[string]string{"approvals": "1 of ada, 1 of "}, loosens: "lets every user approve"},
		"a role":            {strict: fmt.Sprintf(people, 1, "leads") + "\n", loose: fmt.Sprintf(people, 1, "leads")[:len(fmt.Sprintf(people, 1, "leads"))-1] + ", roles: {leads: [eve]}}", want: map[string]string{"approvals": "1 of leads, 1 of eve"}, loosens: "lets eve approve", tightens: "lets leads approve"},
		"board":             {strict: fmt.Sprintf(board, ""), loose: "approval: {required: true}", want: map[string]string{"approvals": `1 of  and "CAB approved"/, 1 of `}, loosens: "removes the approval of the change advisory board"},
		"board, label":      {strict: fmt.Sprintf(board, ""), loose: fmt.Sprintf(board, ", board: {label: ok}"), want: map[string]string{"approvals": `1 of  and "CAB approved"/, 1 of  and "ok"/`}, loosens: `accepts the label "ok" for the change advisory board`, tightens: `accepts the label "CAB approved" for the change advisory board`},
		"board, member":     {strict: fmt.Sprintf(board, ", board: {members: [ada]}"), loose: fmt.Sprintf(board, ", board: {members: [ada, eve]}"), want: map[string]string{"approvals": `1 of  and ""/ada, 1 of  and ""/ada+eve`}, loosens: "lets eve approve for the change advisory board"},
		"migration check":   {strict: base + "deployment: {migration_check: {enabled: true, table: t}}", loose: "", loosens: "turns the migration check off"},
		"production": {
			strict: "environment: {name: sandbox, type: production}\n" + base, loose: base,
			loosens: "changes the type of the environment from production to non-production, accepts any TAG, no longer asks the registry for the images, no longer asks the database before a rollout",
		},
		"secondaries": {
			strict: blue + "deployment: {strategy: blue-green, blue_green: {soak: 5m, approval: true}}", loose: blue + "deployment: {strategy: blue-green}",
			loosens: "shortens the soak time of the secondaries from 5m0s to 0s, removes the approval after the secondaries",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			strict, loose := judged(t, test.strict), judged(t, test.loose)
			want := inForce(strict)
			judges := func(good *manifests.Config) manifests.Judges {
				return manifests.Judges{Good: []*manifests.Config{good}, Node: "node4", At: judgedAt}
			}
			for direction, got := range map[string]*manifests.Config{"loosened": judges(strict).InForce(loose), "tightened": judges(loose).InForce(strict)} {
				loosens := test.loosens
				if direction == "tightened" {
					loosens = test.tightens
				}
				if text := strings.Join(got.Loosens, ", "); text != loosens {
					t.Errorf("%s: loosens %q, want %q", direction, text, loosens)
				}
				said := inForce(got)
				if direction == "tightened" && len(test.want) > 0 {
					said["approvals"] = reversed(said["approvals"])
				}
				for key, value := range want {
					if own, given := test.want[key]; given {
						value = own
					}
					if trimmed := strings.TrimSpace(said[key]); trimmed != strings.TrimSpace(value) {
						t.Errorf("%s: %s is %q, want %q", direction, key, said[key], value)
					}
				}
			}
		})
	}
}

// reversed gives a list of two approvals in the other order: both are asked for.
func reversed(list string) string {
	first, second, two := strings.Cut(list, ", ")
	if !two {
		return list
	}
	return second + ", " + first
}
