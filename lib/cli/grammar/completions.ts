import {
  commandNames,
  describeOption,
  flagOf,
  type NamedOption,
  optionsOf,
} from "../../config/internal.ts";
import { commandDescriptions, type Shell } from "./commands.ts";
import { programName } from "./program.ts";

interface CompletionOption {
  readonly long: string;
  readonly short: string | undefined;
  readonly description: string;
  readonly takesValue: boolean;
  readonly values: readonly string[];
  readonly folder: boolean;
  readonly file: boolean;
  /** Names that the program is asked for when the value is completed. */
  readonly names: "databases" | "tables" | undefined;
}

interface CompletionCommand {
  readonly name: string;
  readonly description: string;
  readonly options: readonly CompletionOption[];
  /** The words its first argument may be. */
  readonly words: readonly string[];
}

/** A script that completes commands, options and values, derived from the option table. */
export function completionScript(shell: Shell): string {
  const commands = describeCommands();
  switch (shell) {
    case "bash":
      return bash(commands);
    case "zsh":
      return zsh(commands);
    case "fish":
      return fish(commands);
  }
}

function describeCommands(): readonly CompletionCommand[] {
  const described = commandNames.map((name): CompletionCommand => ({
    name,
    description: commandDescriptions[name].summary,
    words: commandDescriptions[name].commandArguments[0]?.words ?? [],
    options: optionsOf(name).map((each) =>
      completionOption(each, describeOption(each.option, name))
    ),
  }));
  return [...described, {
    name: "help",
    description: "explain a command",
    words: commandNames,
    options: [],
  }];
}

function completionOption({ name, option }: NamedOption, description: string): CompletionOption {
  const completes = "completes" in option ? option.completes : undefined;
  return {
    long: flagOf(name, option),
    short: option.short,
    description,
    takesValue: "placeholder" in option,
    values: valuesOf(option),
    folder: completes === "folder",
    file: completes === "file",
    names: completes === "databases" || completes === "tables" ? completes : undefined,
  };
}

function valuesOf(option: NamedOption["option"]): readonly string[] {
  if (option.kind === "choice") return option.values;
  if (option.kind === "text" && "suggests" in option) return option.suggests;
  return option.kind === "integer" && option.word !== undefined ? [option.word] : [];
}

function bash(commands: readonly CompletionCommand[]): string {
  const fn = "_postgres_seren_replicator";
  const words = (list: readonly string[]) => list.join(" ");
  const byValue = new Map<string, string>();
  for (const option of commands.flatMap(({ options }) => options)) {
    if (option.values.length > 0) {
      byValue.set(
        option.long,
        `mapfile -t COMPREPLY < <(compgen -W "${words(option.values)}" -- "$current")`,
      );
    } else if (option.folder) {
      byValue.set(option.long, `mapfile -t COMPREPLY < <(compgen -d -- "$current")`);
    } else if (option.file) {
      byValue.set(option.long, `mapfile -t COMPREPLY < <(compgen -f -- "$current")`);
    } else if (option.names !== undefined) {
      byValue.set(option.long, `${fn}_names ${option.names}`);
    } else if (option.takesValue) byValue.set(option.long, "COMPREPLY=()");
  }
  const cases = [...byValue].map(([flag, action]) => `    ${flag}) ${action}; return ;;`);
  const perCommand = commands.map(({ name, options, words: first }) => {
    const all = [...first, ...options.map(({ long }) => long), "--help"];
    return `    ${name}) mapfile -t COMPREPLY < <(compgen -W "${words(all)}" -- "$current") ;;`;
  });
  const top = [...commands.map(({ name }) => name), "--help", "--version"];
  return `# bash completion for ${programName}
# names come from the source in SOURCE_URL, after the last comma of a list
${fn}_names() {
  local last=\${current##*,} begun=
  [[ $current == *,* ]] && begun=\${current%,*},
  mapfile -t COMPREPLY < <(compgen -P "$begun" -W "$("\${COMP_WORDS[0]}" completions "$1" "$last" 2>/dev/null)" -- "$last")
  compopt -o nospace 2>/dev/null
}
${fn}() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]}
  case $previous in
${cases.join("\n")}
  esac
  if [[ $COMP_CWORD -eq 1 ]]; then
    mapfile -t COMPREPLY < <(compgen -W "${words(top)}" -- "$current")
    return
  fi
  case \${COMP_WORDS[1]} in
${perCommand.join("\n")}
  esac
}
complete -F ${fn} ${programName}
`;
}

function zsh(commands: readonly CompletionCommand[]): string {
  const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
  const escape = (text: string) => text.replace(/[[\]:\\]/g, "\\$&");
  const spec = (option: CompletionOption) => {
    const value = !option.takesValue
      ? ""
      : option.values.length > 0
      ? `:value:(${option.values.map((value) => value.replaceAll(":", "\\:")).join(" ")})`
      : option.folder
      ? ":folder:_files -/"
      : option.file
      ? ":file:_files"
      : option.names !== undefined
      ? `:${option.names}:_postgres_seren_replicator_names ${option.names}`
      : ":value: ";
    return quote(`*${option.long}[${escape(option.description)}]${value}`);
  };
  const perCommand = commands.map(({ name, options, words }) => {
    const specs = [
      ...options.map(spec),
      quote("--help[explain]"),
      ...(words.length > 0 ? [quote(`1:what:(${words.join(" ")})`)] : []),
    ];
    return `    ${name}) _arguments ${specs.join(" \\\n      ")} ;;`;
  });
  const names = commands.map(({ name, description }) => quote(`${name}:${escape(description)}`));
  return `#compdef ${programName}
# names come from the source in SOURCE_URL, after the last comma of a list
_postgres_seren_replicator_names() {
  compset -P '*,'
  local -a names=(\${(f)"$("$_seren_program" completions "$1" "$PREFIX" 2>/dev/null)"})
  compadd -S '' -a names
}
_postgres_seren_replicator() {
  local _seren_program=$words[1]
  local -a commands=(
    ${names.join("\n    ")}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  shift words
  (( CURRENT-- ))
  case $words[1] in
${perCommand.join("\n")}
  esac
}
if [[ $funcstack[1] == _postgres_seren_replicator || $funcstack[1] == _${programName} ]]; then
  _postgres_seren_replicator "$@"
else
  compdef _postgres_seren_replicator ${programName}
fi
`;
}

function fish(commands: readonly CompletionCommand[]): string {
  const quote = (text: string) => `'${text.replace(/['\\]/g, "\\$&")}'`;
  const complete = `complete -c ${programName}`;
  const lines = [
    `# fish completion for ${programName}`,
    "# names come from the source in SOURCE_URL, after the last comma of a list",
    "function __seren_names",
    "  set -l begun (string match -r '^.*,' -- (commandline -ct))",
    "  set -l last (string replace -r '^.*,' '' -- (commandline -ct))",
    `  for name in (${programName} completions $argv[1] "$last" 2>/dev/null)`,
    '    echo "$begun$name"',
    "  end",
    "end",
    `${complete} -f`,
    ...commands.map(({ name, description }) =>
      `${complete} -n __fish_use_subcommand -a ${name} -d ${quote(description)}`
    ),
    `${complete} -n __fish_use_subcommand -l version -d 'print the version'`,
    `${complete} -l help -s h -d 'explain'`,
  ];
  for (const { name, options, words } of commands) {
    const when = `-n '__fish_seen_subcommand_from ${name}'`;
    if (words.length > 0) lines.push(`${complete} ${when} -a ${quote(words.join(" "))}`);
    for (const option of options) {
      const short = option.short === undefined ? "" : ` -s ${option.short.slice(1)}`;
      const value = !option.takesValue
        ? ""
        : option.values.length > 0
        ? ` -x -a ${quote(option.values.join(" "))}`
        : option.folder || option.file
        ? " -r -F"
        : option.names !== undefined
        ? ` -x -a '(__seren_names ${option.names})'`
        : " -x";
      lines.push(
        `${complete} ${when} -l ${option.long.slice(2)}${short}${value} -d ${
          quote(option.description)
        }`,
      );
    }
  }
  return `${lines.join("\n")}\n`;
}
