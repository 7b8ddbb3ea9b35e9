/** The settings of a job as a form has them: name in the request, words for people, default, and when they apply. */

import defaults from "./defaults.json";

/** What the form holds: texts by the request's own names, `adapter.rank` and the like. */
export type Values = Record<string, string>;

export interface Field {
  name: string;
  label: string;
  hint?: string;
  /** Absent: a number. */
  kind?: "text" | "choice" | "several" | "flag" | "share";
  choices?: readonly string[];
  usual: string;
  /** What stands for null where that is not the default. */
  nothing?: string;
  when?: (values: Values) => boolean;
}

export interface Section {
  title: string;
  fields: readonly Field[];
  when?: (values: Values) => boolean;
}

const { job, lora, bottleneck, ist, dpo, evaluation, early_stopping } = defaults;
const usual = (value: unknown) => (value === null || value === undefined ? "" : String(value));
const isLora = (values: Values) => values["adapter.type"] === "lora";
const isBottleneck = (values: Values) => values["adapter.type"] === "bottleneck";
const isSparse = (values: Values) => values["ist"] === "true";
const isMeasured = (values: Values) => Boolean(values.validation_file);
const isAnswered = (values: Values) => isMeasured(values) && Number(values["evaluation.rows"]) !== 0;
const isScoredBy = (values: Values, score: string) => isAnswered(values) && (values["evaluation.scores"] ?? "").split(", ").includes(score);
const isStopped = (values: Values) => isMeasured(values) && values.early_stopping === "true";
const isImportance = (values: Values) => isSparse(values) && ["settling", "importance", "contiguous", "depth"].includes(values["ist.policy"] ?? "");
const isProbed = (values: Values) => isImportance(values) && values["ist.scorer"] !== "gradient";
const isSuppressed = (values: Values) => isProbed(values) && values["ist.scorer"] !== "gate";
const isDrawn = (values: Values) => isSparse(values) && !["settling", "static"].includes(values["ist.policy"] ?? "");

export const BASIC: readonly Field[] = [
  { name: "method.type", label: "Method", kind: "choice", choices: ["supervised", "dpo"], usual: "supervised", hint: "dpo learns from preferred and rejected answers" },
  { name: "n_epochs", label: "Epochs", usual: "auto", hint: "auto: about 2,400 examples in all" },
  { name: "batch_size", label: "Batch size", usual: "auto", hint: "auto: 8" },
  { name: "learning_rate", label: "Learning rate", usual: usual(job.learning_rate) },
  { name: "adapter.rank", label: "LoRA rank", usual: usual(lora.rank), when: isLora },
  { name: "adapter.size", label: "Bottleneck size", usual: usual(bottleneck.size), when: isBottleneck },
  { name: "ist.update_fraction", label: "Layers a step", kind: "share", usual: usual(ist.update_fraction), when: isSparse },
  { name: "beta", label: "Beta", usual: usual(dpo.beta), hint: "larger holds the model nearer its base", when: (values) => values["method.type"] === "dpo" },
];

export const ADVANCED: readonly Section[] = [
  {
    title: "Evaluation",
    when: isMeasured,
    fields: [
      { name: "evaluation.rows", label: "Rows to answer", usual: usual(evaluation.rows), hint: "by the base and the tuned model, at the end; 0: none", when: isMeasured },
      { name: "evaluation.max_new_tokens", label: "Tokens an answer", usual: "", hint: "empty: as the expected ones need", when: isAnswered },
      { name: "evaluation.scores", label: "Answers are scored by", kind: "several", choices: ["exact_match", "valid_json", "json_fields", "choice", "regex", "rouge_l"], usual: evaluation.scores.join(", "), when: isAnswered },
      { name: "evaluation.pattern", label: "Pattern", kind: "text", usual: "", hint: "what it finds must be the same in both answers", when: (values) => isScoredBy(values, "regex") },
      { name: "evaluation.choices", label: "Choices", kind: "text", usual: "", hint: "empty: the file's own answers; else with commas between", when: (values) => isScoredBy(values, "choice") },
      { name: "evaluation.interval", label: "Validation interval", usual: "", hint: "in steps; empty: at checkpoints only", when: isMeasured },
      { name: "evaluation.loss_rows", label: "Rows at the interval", usual: usual(evaluation.loss_rows), when: (values) => isMeasured(values) && values["evaluation.interval"] !== "" },
      { name: "evaluation.full_rows", label: "Rows at a checkpoint", usual: usual(evaluation.full_rows), nothing: "all", hint: "a number, or all", when: isMeasured },
      { name: "select_checkpoint", label: "Result", kind: "choice", choices: ["last", "best"], usual: job.select_checkpoint, hint: "best: the checkpoint of the lowest validation loss", when: isMeasured },
      { name: "early_stopping", label: "Stop when it learns no more", kind: "flag", usual: "false", when: isMeasured },
      { name: "early_stopping.patience", label: "Patience", usual: usual(early_stopping.patience), hint: "measurements in a row without a better loss", when: isStopped },
      { name: "early_stopping.min_delta", label: "Better by at least", usual: usual(early_stopping.min_delta), when: isStopped },
    ],
  },
  {
    title: "Training",
    fields: [
      { name: "max_steps", label: "At most steps", usual: "", hint: "empty: all epochs" },
      { name: "max_length", label: "Tokens an example", usual: usual(job.max_length), hint: "longer ones are cut" },
      { name: "micro_batch_size", label: "Micro-batch", usual: "", hint: "empty: the whole batch at once" },
      { name: "seed", label: "Seed", usual: "", hint: "empty: one is drawn" },
      { name: "schedule", label: "Schedule", kind: "choice", choices: ["linear", "cosine", "constant"], usual: job.schedule },
      { name: "warmup_ratio", label: "Warm-up share", usual: usual(job.warmup_ratio) },
      { name: "weight_decay", label: "Weight decay", usual: usual(job.weight_decay) },
      { name: "max_grad_norm", label: "Gradient norm at most", usual: usual(job.max_grad_norm) },
      { name: "precision", label: "Precision", kind: "choice", choices: ["auto", "float32", "bfloat16"], usual: job.precision },
      { name: "recompute", label: "Compute again", kind: "choice", choices: ["none", "auto", "unselected", "all"], usual: job.recompute, hint: "less memory, more time; auto: as the memory needs" },
      { name: "checkpoint_interval", label: "Steps to a checkpoint", usual: "", hint: "empty: a tenth of all" },
      { name: "time_limit_minutes", label: "Time limit in minutes", usual: "" },
      { name: "on_out_of_memory", label: "Out of memory", kind: "choice", choices: ["fail", "retry"], usual: job.on_out_of_memory, hint: "retry: with half the micro-batch" },
    ],
  },
  {
    title: "Adapter",
    fields: [
      { name: "adapter.type", label: "Type", kind: "choice", choices: ["lora", "bottleneck"], usual: lora.type },
      { name: "adapter.alpha", label: "Alpha", usual: "", hint: "empty: twice the rank", when: isLora },
      { name: "adapter.variant", label: "Variant", kind: "choice", choices: ["parallel", "series"], usual: bottleneck.variant, when: isBottleneck },
      { name: "adapter.non_linearity", label: "Non-linearity", kind: "choice", choices: ["relu", "gelu", "silu", "tanh"], usual: bottleneck.non_linearity, when: isBottleneck },
      { name: "adapter.scaling", label: "Scaling", usual: usual(bottleneck.scaling), when: isBottleneck },
      { name: "adapter.dropout", label: "Dropout", usual: usual(lora.dropout) },
      { name: "adapter.target_modules", label: "Modules", kind: "text", usual: "", hint: "empty: every linear one; else names with commas between" },
      { name: "adapter.dora", label: "DoRA", kind: "flag", usual: usual(lora.dora), when: isLora },
      { name: "adapter.rslora", label: "Rank-stabilised", kind: "flag", usual: usual(lora.rslora), when: isLora },
    ],
  },
  {
    title: "Importance-aware sparse tuning",
    fields: [
      { name: "ist", label: "Update some layers only", kind: "flag", usual: "true" },
      { name: "ist.mode", label: "Mode", kind: "choice", choices: ["standard", "paper"], usual: ist.mode, when: isSparse },
      { name: "ist.policy", label: "Layers are chosen", kind: "choice", choices: ["settling", "importance", "random", "static", "lisa", "contiguous", "depth"], usual: ist.policy, when: isSparse },
      { name: "ist.scorer", label: "Scored by", kind: "choice", choices: ["gradient", "suppression", "gate", "combined"], usual: ist.scorer, when: isImportance },
      { name: "ist.probe_interval", label: "Steps until scores move", usual: usual(ist.probe_interval), when: isImportance },
      { name: "ist.candidates", label: "Candidates a probe", usual: usual(ist.candidates), when: isSuppressed },
      { name: "ist.probe_batch_size", label: "Rows of a probe", usual: usual(ist.probe_batch_size), when: isProbed },
      { name: "ist.score_rate", label: "Score rate", usual: usual(ist.score_rate), when: isImportance },
      { name: "ist.suppress_fraction", label: "Share suppressed", usual: usual(ist.suppress_fraction), when: isSuppressed },
      { name: "ist.suppression", label: "What is left of it", usual: usual(ist.suppression), when: isSuppressed },
      { name: "ist.warmup_steps", label: "Warm-up steps", usual: usual(ist.warmup_steps), hint: "auto: a quarter for settling, a tenth for others that look at importance", when: isSparse },
      { name: "ist.floor", label: "Floor", usual: usual(ist.floor), when: (values) => isImportance(values) && isDrawn(values) },
      { name: "ist.hold", label: "Steps a choice is kept", usual: usual(ist.hold), when: isDrawn },
      { name: "ist.optimizer_state", label: "Optimizer state", kind: "choice", choices: ["keep", "reset", "offload"], usual: ist.optimizer_state, when: isSparse },
    ],
  },
];

export const NAMING: readonly Field[] = [
  { name: "suffix", label: "Suffix", kind: "text", usual: "", hint: "a part of the new model's name" },
  { name: "metadata", label: "Metadata", kind: "text", usual: "", hint: "team=search, run=3" },
  { name: "priority", label: "Priority", kind: "choice", choices: ["low", "normal", "high"], usual: "normal" },
];

export const FIELDS: readonly Field[] = [...BASIC, ...ADVANCED.flatMap(({ fields }) => fields), ...NAMING];

export function freshValues(): Values {
  const values = Object.fromEntries(FIELDS.map(({ name, usual }) => [name, usual]));
  return { ...values, model: "", training_file: "", validation_file: "" };
}

/** Whether a setting means anything with the others as they are. */
export function applies(field: Field, values: Values): boolean {
  return field.when?.(values) ?? true;
}
