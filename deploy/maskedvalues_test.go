package deploy_test

import (
	"strings"
	"testing"

	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/deploy"
)

func env(name string) string { return "TaskTemplate.ContainerSpec.Env[" + name + "]" }

func TestMasked(t *testing.T) {
	for _, test := range []struct{ path, text, want string }{
		{env("DB_PASSWORD"), "x", "***"},
		{env("ENCRYPTION_KEY"), "x", "***"},
		{env("SMTP_PASS"), "x", "***"},
		{env("BASIC_AUTH"), "x", "***"},
		{env("DATABASE_DSN"), "u:p@tcp(db)/x", "***"},
		{env("DB_PASSWORD_FILE"), "/run/secrets/db", "/run/secrets/db"},
		{env("DB_PASSWORD_FILE"), "p4ss", "***"},
		{env("LOG_LEVEL"), "debug", "debug"},
		{env("KEYBOARD"), "us", "us"},
		{env("COMPASS"), "north", "north"},
		{env("DB_URL"), "postgres://u:p4ss@db/x", "postgres://u:***@db/x"},
		{env("DB_URL"), "postgres://u:p@/4ss@db/x", "postgres://u:***@db/x"},
		{env("REMOTE"), "https://t0k3n@git.example/x", "https://***@git.example/x"},
		{env("BROKER"), "redis://:p4ss@cache:6379", "redis://:***@cache:6379"},
		{env("OPTS"), "-Ddb.password=p4ss -Dx=y", "-Ddb.password=***"},
		{env("QUERY"), "http://x/?a=1&token=p4ss", "http://x/?a=1&token=***"},
		{env("HEADER"), "Authorization: Bearer p4ss", "Authorization: ***"},
		{env("SETTINGS"), `{"level":"info","password":"p4 \"ss","n":1}`, `{"level":"info","password":***,"n":1}`},
		{env("SETTINGS"), `{"db": {"api_key": "p4 ss"}, "n": 1}`, `{"db": {"api_key": ***}, "n": 1}`},
		{env("SETTINGS"), `"{\"password\":\"p4 \\\"ss\",\"n\":1}"`, `"{\"password\":***,\"n\":1}"`},
		{env("LINES"), "a: 1\npassword: p4 ss\nb: 2", "a: 1\npassword: ***\nb: 2"},
		{env("PEM"), "-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----\n", "***\n"},
		{env("ID"), "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "***"},
		{"Labels[traefik.http.middlewares.a.basicauth.users]", "admin:$apr1$ab$cd", "***"},
		{"Labels[traefik.http.routers.r.tls.domains[0].main]", "x.example", "x.example"},
		{"Labels[users]", "admin:$$2y$05$abcdefg,ops:{SHA}abc=", "admin:***,ops:***"},
		{"Labels[com.docker.stack.image]", "coin/token:1", "coin/token:1"},
		{"TaskTemplate.ContainerSpec.Image", "coin/secret-service:1", "coin/secret-service:1"},
		{"TaskTemplate.LogDriver.Options[splunk-token]", "x", "***"},
		{"TaskTemplate.ContainerSpec.Secrets[db_password].SecretName", "db_password.2", "db_password.2"},
		{"TaskTemplate.ContainerSpec.Secrets[db_password]", "db_password.2", "db_password.2"},
		{"TaskTemplate.ContainerSpec.Mounts[/token].Source", "/a", "/a"},
		{"TaskTemplate.ContainerSpec.Mounts[/m].VolumeOptions.DriverConfig.Options[o]", "username=u,password=p4ss", "username=u,password=***"},
		{env("LONG"), strings.Repeat("a", 500), strings.Repeat("a", 300) + "…"},
	} {
		if got := deploy.Masked(test.path, test.text); got != test.want {
			t.Errorf("%s %q: got %q, want %q", test.path, test.text, got, test.want)
		}
	}
}

func TestMaskedList(t *testing.T) {
	for _, test := range []struct{ list, want []string }{
		{[]string{"app", "--db-password=p4 ss", "--v"}, []string{"app", "--db-password=***", "--v"}},
		{[]string{"app", "--db-password", "p4 ss", "--v"}, []string{"app", "--db-password", "***", "--v"}},
		{[]string{"app", "-p", "p4ss", "-v"}, []string{"app", "-p", "***", "-v"}},
		{[]string{"mkdir", "-p", "/data"}, []string{"mkdir", "-p", "/data"}},
		{[]string{"app", "--token", "--v"}, []string{"app", "--token", "--v"}},
		{[]string{"mysqladmin", "ping", "-pp4ss"}, []string{"mysqladmin", "ping", "-p***"}},
		{[]string{"CMD-SHELL", "mysqladmin ping -h x -pp4ss || exit 1"}, []string{"CMD-SHELL", "mysqladmin ping -h x -p*** || exit 1"}},
		{[]string{"CMD-SHELL", "curl -u admin:p4ss http://x"}, []string{"CMD-SHELL", "curl -u admin:*** http://x"}},
		{[]string{"sh", "-c", "redis-cli --pass p4ss ping"}, []string{"sh", "-c", "redis-cli --pass *** ping"}},
		{[]string{"sh", "-c", "API_KEY=p4ss exec app --level info"}, []string{"sh", "-c", "API_KEY=*** exec app --level info"}},
		{[]string{"a", "b"}, []string{"a", "b"}},
	} {
		if diff := cmp.Diff(test.want, deploy.MaskedList(test.list)); diff != "" {
			t.Errorf("%q:\n%s", test.list, diff)
		}
	}
}

// TestNoSecretInAPlan writes one value to every place where people write secrets, and
// checks that no change of the plan contains it.
func TestNoSecretInAPlan(t *testing.T) {
	const canary = "c4n4ry"
	change := func(value string) func(*swarm.ServiceSpec) {
		return func(s *swarm.ServiceSpec) {
			c := s.TaskTemplate.ContainerSpec
			c.Env = []string{"A_TOKEN=" + value, "URL=amqp://u:" + value + "@h", `J={"secret": "a ` + value + `"}`}
			c.Args = []string{"serve", "--password", value, "-p", value, "--key=" + value}
			c.Command = []string{"sh", "-c", "PGPASSWORD=" + value + " psql"}
			c.Labels = map[string]string{"x.basicauth.users": "a:" + value}
			c.Mounts = []mount.Mount{{Type: "volume", Source: "v" + value[:1], Target: "/v", VolumeOptions: &mount.VolumeOptions{
				DriverConfig: &mount.Driver{Name: "local", Options: map[string]string{"o": "user=a,password=" + value}},
			}}}
			c.Healthcheck = healthcheck()
			c.Healthcheck.Test = []string{"CMD-SHELL", "curl -u a:" + value + " http://x"}
			s.TaskTemplate.LogDriver = &swarm.Driver{Name: "splunk", Options: map[string]string{"splunk-token": value}}
			s.Labels["traefik.basicauth.users"] = "a:" + value
		}
	}
	for name, live := range map[string]func(*swarm.ServiceSpec){"added": nil, "changed": change("d" + canary)} {
		lives, wants := newStack("s"), newStack("s")
		add(lives, "a", live)
		add(wants, "a", change(canary+"x"))
		plan, err := deploy.Diff(liveOf(lives), wants)
		if err != nil || len(plan.Steps) != 1 || len(plan.Steps[0].Changes) < 10 {
			t.Fatalf("%s: %+v, %v", name, plan.Steps, err)
		}
		for _, one := range plan.Steps[0].Changes {
			if strings.Contains(one.Old+one.New, canary) {
				t.Errorf("%s: %+v", name, one)
			}
		}
	}
}
