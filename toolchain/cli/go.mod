// Builds the Pulumi CLI from its module. `go install` refuses it, because its own go.mod has replace directives; the one that matters is repeated here.
module wg-office-toolchain

go 1.25.11

require github.com/pulumi/pulumi/pkg/v3 v3.259.0

replace github.com/atotto/clipboard => github.com/tgummerer/clipboard v0.0.0-20241001131231-d02d263e614e
