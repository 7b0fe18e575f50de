package manifests_test

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
)

const (
	commonFile   = "environments/sandbox/common/project.env"
	templateFile = "templates/project.env.template"
)

// settings returns the merged settings of a node with these files.
func settings(files map[string]string) (string, error) {
	node, err := manifests.Load(repository(files), "sandbox", "node3")
	if err != nil {
		return "", err
	}
	content, err := fs.ReadFile(node.FS, nodeDir+".project.tmp.env")
	return string(content), err
}

func TestSettings(t *testing.T) {
	tests := map[string]struct {
		files map[string]string
		want  string
	}{
		"raw values": {
			map[string]string{"project.env": "A=\"b\"\nB='c'\nC=$X ${Y}\nD=a=b\nE=\nF= g \nG=a\\nb #c\n"},
			"A=\"b\"\nB='c'\nC=$X ${Y}\nD=a=b\nE=\nF= g \nG=a\\nb #c\n",
		},
		"comments and blanks": {map[string]string{"project.env": "\n# a\n  # b\n \t\nA=1\n#B=2"}, "A=1\n"},
		"windows file":        {map[string]string{"project.env": "\ufeffA=1\r\n\r\nB=2\r\n"}, "A=1\nB=2\n"},
		"odd names":           {map[string]string{"project.env": "a.b-c=1\n1=2\n"}, "a.b-c=1\n1=2\n"},
		"layers": {
			map[string]string{commonFile: "A=common\nB=common\nC=common\n", "project.env": "B=project\nD=project\nC=project\n", "project_node3.env": "C=node\nE=node\n"},
			"A=common\nB=project\nC=node\nD=project\nE=node\n",
		},
		"twice in one file": {map[string]string{"project.env": "A=1\nB=2\nA=3\n"}, "A=3\nB=2\n"},
		"leading spaces":    {map[string]string{"project.env": "  A=1\n\t B= 2\n \vTAG_C\n"}, "A=1\nB= 2\nTAG_C\n"},
		"bare names": {
			map[string]string{"node.env": "X='a b'\nY='a\nb'\n", "project.env": "X\nY\nZ\nTAG_X\n"},
			"X=a b\nY\nTAG_X\n",
		},
		"bare names in layers": {
			map[string]string{
				"node.env":    "A='a\nb'\nB='a\nb'\nC='a\nb'\nD='a\nb'\nE='a\nb'\n",
				commonFile:    "A=1\nB=1\nC\nD\nE=1\nZ=1\n",
				"project.env": "A\nB\nB=2\nC=2\nD\nE\nE\nF=2\nZ\n",
			},
			"A=1\nB=2\nC=2\nD\nE=1\nZ=1\nA\nE\nF=2\n",
		},
		"bare in a template": {map[string]string{templateFile: "A={{X}}\n", commonFile: "X\n", "node.env": "X=1\n", "project.env": ""}, "A=1\n"},
		"template": {
			map[string]string{templateFile: "# {{NOT}}\nA={{X}}-{{ Y }}\n{{Z}}_B={{X}}\nC={{.Node.Hostname}}{{index .A \"b\"}}\n", commonFile: "X=\"1\"\nY={{X}}\nZ=z\nD=4\n", "project.env": ""},
			"A=\"1\"-{{X}}\nz_B=\"1\"\nC={{.Node.Hostname}}{{index .A \"b\"}}\n",
		},
		"template overridden":    {map[string]string{templateFile: "A={{X}}\nB=2\n", commonFile: "X=1\n", "project.env": "A=3\n"}, "A=3\nB=2\n"},
		"template without marks": {map[string]string{templateFile: "A=1\n", "project.env": "B=2\n"}, "A=1\nB=2\n"},
		"template filled empty":  {map[string]string{templateFile: "A={{X}}\n", commonFile: "X=\n", "project.env": ""}, "A=\n"},
		"other node's file":      {map[string]string{"project.env": "A=1\n", "project_node4.env": "A=4\n"}, "A=1\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := settings(test.files)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSettingsFaults(t *testing.T) {
	tests := map[string]struct {
		files map[string]string
		want  string
	}{
		"export":           {map[string]string{"project.env": "A=1\nexport B=2\n"}, "project.env:2:1: export is not allowed in an env file"},
		"no name":          {map[string]string{"project.env": "=x\n"}, "project.env:1:1: the name before the = is missing"},
		"space in a name":  {map[string]string{"project.env": "A B=1\n"}, "project.env:1:1: the name has a space in it"},
		"space after":      {map[string]string{"project.env": "A =1\n"}, "project.env:1:1: the name has a space in it"},
		"two marks":        {map[string]string{"project.env": "\ufeff\ufeffA=1\n"}, "project.env:1:1: a byte order mark is before the name"},
		"no text":          {map[string]string{"project.env": "A=\xff\n"}, "project.env:1:1: the line is not UTF-8 text"},
		"unfilled by bare": {map[string]string{templateFile: "A={{X}}\n", commonFile: "X\n"}, "templates/project.env.template:1:3: values are missing for {{X}} (line 1)"},
		"carriage return":  {map[string]string{"project.env": "A=1\r2\n"}, "project.env:1:1: the line contains a carriage return"},
		"too long":         {map[string]string{"project.env": "A=" + strings.Repeat("x", 70000)}, "project.env:1:1: the line is longer than docker accepts"},
		"unfilled":         {map[string]string{templateFile: "A={{X}}\nB={{Y-Z}}\n"}, "templates/project.env.template:1:3: values are missing for {{X}} (line 1), {{Y-Z}} (line 2)"},
		"filled badly":     {map[string]string{templateFile: "{{X}}=1\n", commonFile: "X=a b\n"}, "templates/project.env.template:1:1: the name has a space in it"},
		"empty derived":    {map[string]string{"project.env": "REPORT_GENERATOR_=1\n"}, "project.env:1:1: the name REPORT_GENERATOR_ becomes empty"},
		"derived in git":   {map[string]string{".project.admin.tmp.env": ""}, ".project.admin.tmp.env: the agent generates the file .project.admin.tmp.env"},
		"config: missing":  {map[string]string{"environments/sandbox/config.yml": plainConfig + "    project_files: [project.evn]\n"}, "config.yml:8:21: environments/sandbox/nodes/node3/project.evn is missing"},
		"config: leaves":   {map[string]string{"environments/sandbox/config.yml": plainConfig + "    compose_files:\n      - ../../../../../x.yml\n"}, "config.yml:9:9: path \"../../../../../x.yml\" leaves the repository"},
		"config: a folder": {map[string]string{"environments/sandbox/config.yml": plainConfig + "    compose_files: [../node3]\n"}, "config.yml:8:21: environments/sandbox/nodes/node3 is not a regular file"},
		"encrypted":        {map[string]string{"secrets.override.env": "SV_a=ENC[AES256_GCM,data:x,type:str]\nsops_mac=x\n"}, "secrets.override.env:2:1: the file is encrypted with sops"},
		"two versions":     {map[string]string{"secrets.override.env": "SV_a=1\na_VERSION=2\n"}, "secrets.override.env:2:1: a_VERSION differs from the version on line 1"},
		"plaintext":        {map[string]string{"secrets.override.env": "_VERSION=canary\n"}, "secrets.override.env:1:1: _VERSION is a secret in plaintext"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := settings(test.files)
			wantFault(t, err, test.want)
			if len(fault.All(err)) != 1 {
				t.Errorf("got more than one fault: %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("the fault quotes a secret: %v", err)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	fsys := repository(nil)
	delete(fsys, nodeDir+"project.env")
	delete(fsys, nodeDir+"node.env")
	node, err := manifests.Load(fsys, "sandbox", "node3")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, warning := range node.Warnings {
		got = append(got, warning.Error())
	}
	want := []string{
		"environments/sandbox/nodes/node3/node.env: the node has no node.env, so it sets no variables",
		"environments/sandbox/nodes/node3: the node has no project settings",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

// TestSettingsWarnings checks what docker drops silently.
func TestSettingsWarnings(t *testing.T) {
	node, err := manifests.Load(repository(map[string]string{
		"node.env": "SET=1\n", "project.env": "SET\nUNSET\nTAG_X\n  CLIENT_API_A=1\nCLIENT_API_B=2\nCLIENT_API_C\n",
	}), "sandbox", "node3")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, warning := range node.Warnings {
		got = append(got, strings.TrimPrefix(warning.Error(), nodeDir))
	}
	client, err := fs.ReadFile(node.FS, nodeDir+".project.client.tmp.env")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"project.env:2:1: UNSET has no value and is not set in node.env: it is left out",
		"project.env:6:1: CLIENT_API_C has no value and is not set in node.env: it is left out",
		"project.env:4:1: CLIENT_API_A is not in .project.client.tmp.env, because its line starts with spaces",
		"API_B=2\n",
	}
	if diff := cmp.Diff(want, append(got, string(client))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestOverrides checks the versions that node.env and secrets.override.env set.
func TestOverrides(t *testing.T) {
	node, err := manifests.Load(repository(map[string]string{
		"node.env":             "SV_a=1\nSV_b=1\nRELEASE_VERSION=25.22\nBASE=7\n",
		"secrets.override.env": "SV_b=2\nwebhook_VERSION=3\nexport SV_c=auto\nSV_d=$BASE\nSV_e=4\ne_VERSION=4\n",
	}), "sandbox", "node3")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for name, v := range node.Variables {
		if !v.Given {
			got[name] = v.Value
		}
	}
	want := map[string]string{
		"SV_a": "1", "SV_b": "2", "SV_c": "auto", "SV_d": "7", "SV_e": "4", "SV_webhook": "3",
		"RELEASE_VERSION": "25.22", "BASE": "7", "PROJECT_SETTINGS": ".project.tmp.env",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
}
