package manifests_test

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/manifests"
)

const (
	sandboxConfig = "environments/sandbox/config.yml"
	withDatabase  = plainConfig + "database: {host: db.internal, name: coin, user: coin}\n"
)

// guarded returns a config.yml with a database and a migration check with these keys.
func guarded(keys string) string {
	return withDatabase + "deployment:\n  migration_check: {enabled: true" + keys + "}\n"
}

func TestMigrationCheck(t *testing.T) {
	node, err := manifests.Load(repository(map[string]string{
		sandboxConfig: guarded(", password_secret: DATABASE_PASSWORD, sslmode: verify-full, tls: {ca_secret: db_ca}"),
	}), "sandbox", "node3")
	if err != nil {
		t.Fatal(err)
	}
	want := manifests.MigrationCheck{
		Enabled: true, Table: "schema_migrations", Column: "id", ExpectedVariable: "EXPECTED_MIGRATION_ID",
		PasswordSecret: "DATABASE_PASSWORD", SSLMode: "verify-full", TLS: manifests.CheckTLS{CASecret: "db_ca"},
	}
	check := node.Config.Deployment.MigrationCheck
	if diff := cmp.Diff(want, check); diff != "" {
		t.Errorf("check (-want +got):\n%s", diff)
	}
	secrets := map[string]string{"deployment.migration_check.password_secret": "DATABASE_PASSWORD", "deployment.migration_check.tls.ca_secret": "db_ca"}
	if diff := cmp.Diff(secrets, check.Secrets()); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
	check.Enabled = false
	if len(check.Secrets()) != 0 {
		t.Error("a disabled check needs secrets")
	}
}

// TestExpectedMigration expects the migration ID from the node's variables, or from
// the project settings as containers get them.
func TestExpectedMigration(t *testing.T) {
	number := func(id int64) *int64 { return &id }
	for name, test := range map[string]struct {
		keys  string
		files map[string]string
		want  *int64
	}{
		"named nowhere":       {"", nil, nil},
		"node.env":            {"", map[string]string{"node.env": "TAG=1\nexport EXPECTED_MIGRATION_ID=\"565\"\n"}, number(565)},
		"project settings":    {"", map[string]string{"project.env": "A=1\nEXPECTED_MIGRATION_ID=20251215103000\n"}, number(20251215103000)},
		"quotes that stay":    {"", map[string]string{"project.env": "EXPECTED_MIGRATION_ID=\"565\"\n"}, number(565)},
		"the node's own wins": {"", map[string]string{"project_node3.env": "EXPECTED_MIGRATION_ID=2\n", "project.env": "EXPECTED_MIGRATION_ID=1\n"}, number(2)},
		"node.env wins":       {"", map[string]string{"node.env": "TAG=1\nEXPECTED_MIGRATION_ID=3\n", "project.env": "EXPECTED_MIGRATION_ID=1\n"}, number(3)},
		"none yet":            {"", map[string]string{"node.env": "TAG=1\nEXPECTED_MIGRATION_ID=0\n"}, number(0)},
		"empty":               {"", map[string]string{"node.env": "TAG=1\nEXPECTED_MIGRATION_ID=\n"}, nil},
		"another variable":    {", expected_variable: MIGRATION", map[string]string{"node.env": "TAG=1\nMIGRATION=4\nEXPECTED_MIGRATION_ID=x\n"}, number(4)},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{sandboxConfig: guarded(test.keys)}
			maps.Copy(files, test.files)
			node, err := manifests.Load(repository(files), "sandbox", "node3")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, node.ExpectedMigration); diff != "" {
				t.Errorf("expects (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMigrationCheckFaults(t *testing.T) {
	for name, test := range map[string]struct{ config, file, content, want string }{
		"table":            {guarded(`, table: "m; DROP TABLE m"`), "", "", `want a table such as schema_migrations`},
		"quote in a table": {guarded(`, table: 'public."m"'`), "", "", `want a table such as schema_migrations`},
		"column":           {guarded(`, column: "id) FROM m --"`), "", "", `deployment.migration_check.column: want a column such as id`},
		"two passwords":    {guarded(", password_secret: a, password_file: b"), "", "", `has both password_secret and password_file`},
		"path":             {guarded(", password_file: ../b"), "", "", `want the name of a file in the agent's check_dir`},
		"tls unused":       {guarded(", tls: {ca_file: b}"), "", "", `:10:41: deployment.migration_check has tls, which sslmode: prefer ignores`},
		"no name":          {plainConfig + "database: {host: a, user: a}\ndeployment: {migration_check: {enabled: true}}\n", "", "", `does not set database.name`},
		"insecure":         {guarded(", sslmode: verify-full, tls: {insecure_skip_verify: true}"), "", "", `insecure_skip_verify does not apply to databases`},
		"no database": {
			plainConfig + "deployment: {migration_check: {enabled: true}}\n", "", "",
			`:8:31: deployment.migration_check is enabled, but config.yml does not set database.host, database.name, database.user`,
		},
		"no number":   {guarded(""), "node.env", "TAG=1\nEXPECTED_MIGRATION_ID=V565\n", `node.env:2:1: EXPECTED_MIGRATION_ID is not a migration ID: "V565"`},
		"below zero":  {guarded(""), "project.env", "EXPECTED_MIGRATION_ID=-1\n", `project.env:1:1: EXPECTED_MIGRATION_ID is not a migration ID: "-1"`},
		"too large":   {guarded(""), "node.env", "TAG=1\nEXPECTED_MIGRATION_ID=99999999999999999999\n", `is not a migration ID`},
		"off, and so": {plainConfig + "deployment: {migration_check: {enabled: false}}\n", "node.env", "TAG=1\nEXPECTED_MIGRATION_ID=V565\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{sandboxConfig: test.config}
			if test.file != "" {
				files[test.file] = test.content
			}
			_, err := manifests.Load(repository(files), "sandbox", "node3")
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantFault(t, err, test.want)
		})
	}
}
