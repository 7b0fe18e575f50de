package stackfiles_test

import "coin.internal/coin-agent/stackfiles"

func projectCases() []scriptCase {
	derived := "    env_file: [$PROJECT_SETTINGS, .project.client.tmp.env, .project.admin.tmp.env, .project.i_client.tmp.env, .project.renderer.tmp.env]\n"
	all := compose("registry.invalid/app:1", derived)
	return []scriptCase{
		{
			name:  "the order of several -P",
			files: map[string]string{"more.env": "A=2\nB=2\n"},
			flags: func(f *stackfiles.Flags) { f.Project = append(f.Project, "more.env") },
		},
		{
			name:    "a file of -P without a line break at its end",
			files:   map[string]string{"project.env": "A=1", "more.env": "B=2\n"},
			flags:   func(f *stackfiles.Flags) { f.Project = append(f.Project, "more.env") },
			differs: []string{`Env.A: script "1B=2", agent "1"`, `Env.B: script none, agent "2"`}, reason: "the script joins the two lines to one",
		},
		{
			name:  "raw values of -P",
			files: map[string]string{"project.env": "A=\"quoted\"\nB='single' # not a comment\nC=$TAG ${TAG}\nD= spaces \n# a comment\n\nE=\nF=a=b\n"},
		},
		{name: "Windows line ends in -P", files: map[string]string{"project.env": "A=1\r\nB=2\r\n"}},
		{
			name:  "the derived files",
			files: map[string]string{"project.env": "CLIENT_API_A=c\nADMIN_API_B=a\nI_CLIENT_API_C=i\nREPORT_GENERATOR_D=r\nAPI_E=e\n", "docker-compose.yml": all},
		},
		{
			name:    "REPORT_GENERATOR without an underscore after it",
			files:   map[string]string{"project.env": "REPORT_GENERATORX=1\n", "docker-compose.yml": compose("registry.invalid/app:1", "    env_file: [.project.renderer.tmp.env]\n")},
			differs: []string{`Env.REPORT_GENERATORX: script "1", agent none`}, reason: "only lines that start with REPORT_GENERATOR_ are in the file",
		},
		{name: "a line with spaces before its name", files: map[string]string{"project.env": "  CLIENT_API_A=c\n", "docker-compose.yml": all}},
	}
}

func tagCases() []scriptCase {
	const braces = "the script finds only $NAME, and the last on a line"
	return []scriptCase{
		{name: "TAG_ is TAG by default", files: map[string]string{"docker-compose.yml": compose("registry.invalid/app:$TAG_APP", "")}},
		{
			name:  "TAG_ set in -N",
			files: map[string]string{"node.env": "export TAG=1.0\nexport TAG_APP=1.1\n", "docker-compose.yml": compose("registry.invalid/app:$TAG_APP", "")},
		},
		{
			name:  "TAG_ set to nothing",
			files: map[string]string{"node.env": "export TAG=1.0\nexport TAG_APP=\n", "docker-compose.yml": compose("registry.invalid/app:$TAG_APP", "")},
		},
		{
			name:    "${TAG_APP} in braces",
			files:   map[string]string{"docker-compose.yml": compose("registry.invalid/app:${TAG_APP}", "")},
			differs: []string{`fails: script "docker stack deploy fails", agent none`}, reason: braces,
		},
		{
			name:    "two TAG_ on a line",
			files:   map[string]string{"docker-compose.yml": environment("      X: $TAG_A $TAG_B\n")},
			differs: []string{`Env.X: script " 1.0", agent "1.0 1.0"`}, reason: braces,
		},
		{
			name:    "a text behind TAG_",
			files:   map[string]string{"docker-compose.yml": compose("registry.invalid/app:$TAG_APP", "    environment: {X: \"$TAG_X.debug\"}\n")},
			differs: []string{`Env.X: script ".debug", agent "1.0.debug"`}, reason: "the script takes the rest of the line as part of the name",
		},
		{
			name:  "a default of its own",
			files: map[string]string{"docker-compose.yml": compose("registry.invalid/app:${TAG_APP:-9}", "")},
		},
		{
			name:    "TAG in -s",
			files:   map[string]string{"versions.env": "export TAG=2.0\n", "docker-compose.yml": compose("registry.invalid/app:$TAG_APP", "    environment: {TAG: $TAG}\n")},
			flags:   func(f *stackfiles.Flags) { f.Secrets = "versions.env" },
			differs: []string{`coin_app.Labels.com.docker.stack.image: script "registry.invalid/app:1.0", agent "registry.invalid/app:2.0"`, `Image: script "registry.invalid/app:1.0", agent "registry.invalid/app:2.0"`},
			reason:  "the script sets the defaults before it reads -s",
		},
	}
}

func secretCases() []scriptCase {
	const used = "    secrets: [db_access]\n"
	secret := func(name string) string {
		return compose("registry.invalid/app:1", used) + "secrets:\n  db_access:\n    file: ./secrets/db_access\n    name: " + name + "\n"
	}
	plain := func(f *stackfiles.Flags) { f.Secrets = "secrets.override.env" }
	with := func(compose, overrides string) map[string]string {
		return map[string]string{"docker-compose.yml": compose, "secrets/db_access": "the content\n", "secrets.override.env": overrides}
	}
	return []scriptCase{
		{name: "SV_ is 0 by default", files: with(secret("db_access.$SV_db_access"), "")},
		{name: "SV_ set in -N", files: map[string]string{
			"node.env": "export TAG=1.0\nexport SV_db_access=4\n", "docker-compose.yml": secret("db_access.$SV_db_access"), "secrets/db_access": "x",
		}},
		{name: "SV_ in -s", files: with(secret("db_access.$SV_db_access"), "SV_db_access=2\n"), flags: plain},
		{
			name: "-s over -N", flags: plain,
			files: map[string]string{
				"node.env": "export TAG=1.0\nexport SV_db_access=4\n", "docker-compose.yml": secret("db_access.$SV_db_access"),
				"secrets/db_access": "x", "secrets.override.env": "export SV_db_access=5\n",
			},
		},
		{
			name:    "${SV_db_access} in braces",
			files:   with(secret("db_access.${SV_db_access}"), ""),
			differs: []string{`secret db_access.: script "the content\n", agent none`, `secret db_access.0: script none, agent "the content\n"`}, reason: "the script finds only $NAME",
		},
		{
			name:    "a missing file of -s",
			files:   with(secret("db_access.$SV_db_access"), ""),
			flags:   func(f *stackfiles.Flags) { f.Secrets = "none.env" },
			differs: []string{`fails: script none, agent "none.env: the file of -s is missing"`}, reason: "the script goes on with version 0",
		},
		{
			name: "a value in -s that is not a version", flags: plain,
			files:   with(environment("      X: $DATABASE_PASSWORD\n"), "export DATABASE_PASSWORD=secret\n"),
			differs: []string{`Env.X: script "secret", agent ""`}, reason: "what is not a version in -s is a secret, and not a variable",
		},
		{name: "a relative mount", files: map[string]string{"docker-compose.yml": compose("registry.invalid/app:1", "    volumes: [\"./data:/data\", \"/srv:/srv\"]\n")}},
		{
			name:    "a mount outside of the folder",
			files:   map[string]string{"docker-compose.yml": compose("registry.invalid/app:1", "    volumes: [\"../data:/data\"]\n")},
			differs: []string{`fails: script none, agent "docker-compose.yml:5: service app: the bind source ../data leaves FOLDER"`}, reason: "the full path says where the folder is on the node",
		},
	}
}
