import type { JsonObject } from "../../base/json.ts";

/** An action as the API shows it. */
export type ActionView = JsonObject & {
  readonly action_id: string;
  readonly status: string;
};

/** A record as the API shows it. */
export type RecordView = {
  readonly topic: string;
  readonly offset: number;
  readonly ingested_at: string;
  readonly event: JsonObject & {
    readonly event_id: string;
    readonly event_type: string;
    readonly ts: string;
  };
};
